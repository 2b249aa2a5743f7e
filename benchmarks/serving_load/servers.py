"""Servers under measurement: started on one core, asked until they answer, and what processor and memory they took."""

from __future__ import annotations

__all__ = ["SERVERS", "RunningServer", "Wire", "free_port", "run_server"]

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving_load.triton import Triton
from toolkit.runtimes.registry import RUNTIMES, is_importable

START_S = 180.0
# Of the product's own; what it needs besides is an extra.
GRPC, HAS_GRPC = "oip-grpc", is_importable("grpc_health")
PEERS = Path(__file__).with_name("peers")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How a server is asked about a batch of images.

    Attributes:
        path: of the address.
        words: the wire form, for the table.
        headers: of the request.
        body: of the request.
    """

    path: str
    words: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that answers.

    Attributes:
        process: its first process.
        port: where, on 127.0.0.1.
    """

    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """Processor seconds of all its processes until now."""
        return sum(_stat_of(pid) for pid in self.pids())

    def memory_bytes(self) -> int:
        """Memory of all its processes, as far as it is theirs alone (RssAnon)."""
        return sum(_anonymous_of(pid) for pid in self.pids())

    def roads(self) -> dict[str, str]:
        """Return the addresses of the product's server by the runtime that asks there, of one that `has_grpc`."""
        http, grpc = f"http://127.0.0.1:{self.port}", f"grpc://127.0.0.1:{self.port + 1}"
        names = [name for name, entry in RUNTIMES.items() if entry.is_remote and (name != GRPC or HAS_GRPC)]
        return {name: grpc if name == GRPC else http for name in names}

    def pids(self) -> list[int]:
        """Return its processes."""
        found = [self.process.pid]
        for pid in found:
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(word) for word in path.read_text().split()]
        return found


def ask_oip(images: NDArray[np.uint8]) -> Wire:
    """Ask in the binary form of the protocol, outputs binary too."""
    item = {"name": "images", "shape": images.shape, "datatype": "UINT8"}
    item["parameters"] = {"binary_data_size": images.nbytes}
    head = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return Wire(path="/v2/models/digits/infer", words="OIP binary", headers=headers, body=head + images.tobytes())


def ask_oip_json(images: NDArray[np.uint8]) -> Wire:
    """Ask in the JSON form of the protocol."""
    item = {"name": "images", "shape": images.shape, "datatype": "UINT8", "data": images.ravel().tolist()}
    body = json.dumps({"inputs": [item]}).encode()
    headers = {"Content-Type": "application/json"}
    return Wire(path="/v2/models/digits/infer", words="OIP JSON", headers=headers, body=body)


def ask_base64(images: NDArray[np.uint8]) -> Wire:
    """Ask with the pixels as base64 in JSON."""
    body = json.dumps({"images": base64.b64encode(images.tobytes()).decode()}).encode()
    return Wire(path="/predict", words="JSON, base64", headers={"Content-Type": "application/json"}, body=body)


def ask_raw(images: NDArray[np.uint8]) -> Wire:
    """Ask with nothing but the pixels."""
    return Wire(path="/inference", words="raw bytes", headers={}, body=images.tobytes())


# mosec is best where a batch is as large as there are connections: it then waits for no more.
TUNED = {"BENCHMARK_BATCH": "16", "BENCHMARK_WAIT_MS": "1"}
# How each is asked; the product's own takes both forms of the protocol.
SERVERS = {
    "toolkit": ask_oip,
    "toolkit, JSON": ask_oip_json,
    "mosec": ask_raw,
    "mosec, tuned": ask_raw,
    "litserve": ask_base64,
    "mlserver": ask_oip_json,
    "triton": ask_oip,
}


@contextmanager
def run_server(
    name: str, model: Path, *, python: str, core: int, options: tuple[str, ...] = (), has_grpc: bool = False
) -> Iterator[RunningServer]:
    """Start a server on one core and wait until it answers a request.

    Args:
        name: in `SERVERS`.
        model: the file.
        python: the interpreter that has it; of Triton the environment.
        core: that it may use.
        options: of the product's own.
        has_grpc: whether the product's own listens for gRPC as well, where it can.
    """
    port, folder = free_port(), tempfile.TemporaryDirectory()
    variables = {"BENCHMARK_MODEL": str(model.resolve()), "BENCHMARK_PORT": str(port), "PYTHONPATH": str(PEERS)}
    if name.startswith("toolkit"):
        words = ["-m", "toolkit", "serve", f"digits={model}", "--port", str(port), "--threads", "1"]
        words += ["--grpc-port", str(port + 1)] if has_grpc and HAS_GRPC else []
        command, variables = [sys.executable, *words, *options], {}
    elif name == "triton":
        triton = Triton(Path(python).absolute(), Path(folder.name), model, port=port)
        command, variables = triton.command, triton.variables
    else:
        command = [python, str(PEERS / f"run_{name.partition(',')[0]}.py")]
        variables |= TUNED if name.endswith("tuned") else {}
    pinned = ["taskset", "--cpu-list", str(core), *command]
    process = subprocess.Popen(
        pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **variables}
    )
    server = RunningServer(process=process, port=port)
    try:
        _wait(server, SERVERS[name](np.zeros((1, 28, 28), np.uint8)))
        yield server
    finally:
        for pid in reversed(server.pids()):
            _end(pid)
        process.wait()
        folder.cleanup()


def free_port() -> int:
    """Return a port that nobody has, with two more behind it for those that want three."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
        try:
            for number in range(3):
                socket.create_server(("127.0.0.1", port + number)).close()
        except OSError:
            continue
        return port


def _wait(server: RunningServer, wire: Wire) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{wire.path}", wire.body, wire.headers)
    end = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
                return
        except (OSError, urllib.error.HTTPError) as error:
            if time.monotonic() > end or server.process.poll() is not None:
                raise RuntimeError(f"{server.process.args} does not answer: {error}") from error
            time.sleep(0.2)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended with its parent


def _stat_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _anonymous_of(pid: int) -> int:
    try:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0
