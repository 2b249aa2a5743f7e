"""A real `toolkit serve` in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

__all__ = ["Served", "serving"]

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from loaded_modules import spied
from numpy.typing import NDArray

# What takes longer hangs, also on a machine that does other work.
PATIENCE_S = 120.0


class Served:
    """A server that takes requests.

    Attributes:
        url: where it is, with a slash at the end.
        process: the very process that serves; SIGTERM drains it.
        said: what it wrote on standard error until it was ready.
        grpc: host and port of gRPC; empty where there is none.
    """

    def __init__(self, process: subprocess.Popen[str], url: str, said: str) -> None:
        self.process, self.url, self.said = process, url, said
        self.grpc = "".join(re.findall(r"^grpcs?://(\S+) serves ", said, re.MULTILINE))
        self.host, self.port = re.findall(r"//(.+):(\d+)/", url)[0]

    def ask(
        self, path: str, body: bytes | Iterator[bytes] | None = None, *, method: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask once, on a connection of its own; return status, headers by lower-case names, and body."""
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=PATIENCE_S)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        answer = connection.getresponse()
        told = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return told

    def infer(self, images: NDArray[np.uint8], *, model: str, **more: Any) -> dict[str, Any]:
        """Send images as JSON and return the answer's outputs by name, as lists."""
        tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
        status, _, body = self.ask(f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor], **more}).encode())
        told = json.loads(body)
        assert status == 200, told
        return {output["name"]: output["data"] for output in told["outputs"]}

    def stop(self) -> tuple[int, str]:
        """End it as a service manager does; return its exit code and what it wrote since."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@contextmanager
def serving(*arguments: str | Path, loaded: Path | None = None, **environment: str) -> Iterator[Served]:
    """Start `toolkit serve` on a free port, and end it whatever happens.

    Args:
        arguments: of the command.
        loaded: where it leaves the names of the heavy modules that it loaded.
        environment: variables besides those of this process.
    """
    words = ["serve", "--port", "0", *map(str, arguments)]
    command = spied(words, loaded) if loaded else [sys.executable, "-m", "toolkit", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stderr is not None
    try:
        said = ""
        while (found := re.search(r"^(https?://\S+:\d+/) serves ", said, re.MULTILINE)) is None:
            line = process.stderr.readline()
            assert line, f"the server ended before it was ready: {said}"
            said += line
        yield Served(process, found[1], said)
    finally:
        process.kill()
        process.communicate()
