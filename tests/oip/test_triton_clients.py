"""Triton's own clients, of HTTP and of gRPC, unchanged and in another environment, against `toolkit serve`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from oip.rows import oip, own_server
from served import Served

CLIENTS = os.environ.get("TOOLKIT_TRITON_CLIENTS", "")
pytestmark = [
    oip,
    own_server,
    pytest.mark.skipif(not CLIENTS, reason="the clients' environment was not named: make test-oip"),
]


def test_both_clients_are_answered_alike(own: Served) -> None:
    script = Path(__file__).with_name("triton_clients.py")
    command = [Path(CLIENTS).resolve() / "bin" / "python", script, f"{own.host}:{own.port}", own.grpc, "digits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["server"][0] == "toolkit"
    assert told["model"] == ["digits", ["1", "2"], "onnx_onnxv1", [["images", "UINT8", [-1, 28, 28]]]]
    assert (told["largest"], told["answered"]) == (64, True)
    assert "there is no model 'none'" in told["refusal"]
