"""Real Triton, on loopback, from the wheel that carries its server: a witness of the protocol, and a peer.

`make test-oip` brings the wheel into an environment of its own; `TOOLKIT_TRITON` names that environment.
"""

from __future__ import annotations

__all__ = ["Triton", "run_triton"]

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

START_S = 60.0
MODEL = """import numpy
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = f"{args['model_repository']}/{args['model_version']}/model.onnx"
        self.session = onnxruntime.InferenceSession(path, options)
        self.inputs = [item.name for item in self.session.get_inputs()]
        self.outputs = [item.name for item in self.session.get_outputs()]

    def execute(self, requests):
        read = triton.get_input_tensor_by_name
        fed = [{name: read(request, name).as_numpy() for name in self.inputs} for request in requests]
        cuts = numpy.cumsum([len(next(iter(feeds.values()))) for feeds in fed])[:-1]
        joined = {name: numpy.concatenate([feeds[name] for feeds in fed]) for name in self.inputs}
        parts = [numpy.split(output, cuts) for output in self.session.run(None, joined)]
        return [
            triton.InferenceResponse([triton.Tensor(name, rows[at]) for name, rows in zip(self.outputs, parts)])
            for at in range(len(requests))
        ]
"""
# `label` is [-1, 1] in the metadata: a batch of scalars cannot be told.
CONFIG = """backend: "python"
max_batch_size: 64
input [ { name: "images" data_type: TYPE_UINT8 dims: [ 28, 28 ] } ]
output [
  { name: "logits" data_type: TYPE_FP32 dims: [ 10 ] },
  { name: "probabilities" data_type: TYPE_FP32 dims: [ 10 ] },
  { name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } }
]
dynamic_batching { }
instance_group [ { kind: KIND_CPU count: 1 } ]
"""


class Triton:
    """A server that is started again where a request ended it.

    Args:
        environment: with `nvidia-pytriton`, NumPy 1 and ONNX Runtime.
        folder: for the model and the log.
        model: the file.
        port: where it is to listen; 0: where one is free.
    """

    def __init__(self, environment: Path, folder: Path, model: Path, *, port: int = 0) -> None:
        (site,) = environment.glob("lib/python3.*/site-packages")
        self._environment, self._folder, self._site = environment, folder, site
        self._server = site / "pytriton" / "tritonserver"
        version = folder / "models" / "digits" / "1"
        version.mkdir(parents=True)
        (version.parent / "config.pbtxt").write_text(CONFIG)
        (version / "model.py").write_text(MODEL)
        shutil.copy(model, version / "model.onnx")
        shutil.copytree(self._server / "backends", folder / "backends")
        stub = self._server / "python_backend_stubs" / site.parent.name.removeprefix("python")
        shutil.copy(stub / "triton_python_backend_stub", folder / "backends" / "python")
        (folder / "backends" / "python" / "triton_python_backend_stub").chmod(0o755)
        with socket.create_server(("127.0.0.1", port)) as free, socket.create_server(("127.0.0.1", 0)) as other:
            self._port, self._grpc_port = free.getsockname()[1], other.getsockname()[1]
        self.url, self.grpc = f"http://127.0.0.1:{self._port}", f"127.0.0.1:{self._grpc_port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """What starts it."""
        binary, port = str(self._server / "bin" / "tritonserver"), str(self._port)
        words = [binary, "--http-port", port, "--http-address", "127.0.0.1"]
        words += ["--grpc-port", str(self._grpc_port), "--grpc-address", "127.0.0.1"]
        words += ["--allow-metrics", "false", "--log-info", "false"]
        words += ["--model-repository", str(self._folder / "models")]
        return [*words, "--backend-directory", str(self._folder / "backends")]

    @property
    def variables(self) -> dict[str, str]:
        """What it needs besides this process's variables."""
        libraries = [sysconfig.get_config_var("LIBDIR"), self._site / "nvidia_pytriton.libs"]
        return {
            "LD_LIBRARY_PATH": ":".join(map(str, [*libraries, self._server / "external_libs"])),
            "PATH": f"{self._environment / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self._site),
        }

    def ensure(self) -> None:
        """Start it where it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        with (self._folder / "log").open("ab") as log:
            variables = {**os.environ, **self.variables}
            # A session of its own: a crash leaves helpers behind that hear no SIGTERM.
            self._process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=variables, start_new_session=True
            )
        self._wait()

    def end(self) -> None:
        """End it and its helpers."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/v2/models/digits/ready", timeout=5):
                    return
            except OSError as error:
                if time.monotonic() > end:
                    log = (self._folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"Triton does not answer ({error}): {log}") from error
                time.sleep(0.1)


@contextlib.contextmanager
def run_triton(environment: Path, folder: Path, model: Path) -> Iterator[Triton]:
    """Have Triton serve a file as `digits` for as long as the block lasts."""
    triton = Triton(environment, folder, model)
    try:
        triton.ensure()
        yield triton
    finally:
        triton.end()
