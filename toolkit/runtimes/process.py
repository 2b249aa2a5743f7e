"""The parent's side of a worker: starts it, sends frames, ends it when it hangs, tells why it died."""

from __future__ import annotations

__all__ = ["MEMORY_LIMIT_BYTES", "WorkerRuntime", "blame_the_file"]

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from toolkit.closing import Closing
from toolkit.errors import ModelError, UsageError, WorkerError, error_from_json
from toolkit.runtimes.base import Arrays, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.frames import read_frame, write_frame
from toolkit.runtimes.measure import Window
from toolkit.runtimes.measure_plan import MeasurePlan
from toolkit.runtimes.private import PRIVATE_FOLDER_VARIABLE, private_python, private_root
from toolkit.runtimes.source import ModelSource

MEMORY_LIMIT_BYTES = 12 << 30
LOG_TAIL_BYTES = 4000
PRIVATE_START = (
    "import runpy, sys; sys.path.append({root!r}); runpy.run_module('toolkit.runtimes.worker', run_name='__main__')"
)
# Seconds that no request to an engine may pass, whatever the command allows.
TIME_LIMIT_VARIABLE = "TOOLKIT_TIME_LIMIT"
# CUDA reserves far more address space than it uses, so a limit on it would refuse every GPU.
UNLIMITED_PROVIDERS = {"cuda", "tensorrt"}


class WorkerRuntime(Closing):
    """A model opened in a worker process; a context manager with the face of a runtime.

    Args:
        source: the model.
        settings: how to execute it.
        timeout_s: most seconds for one request; `TOOLKIT_TIME_LIMIT` lowers it.
        allow_foreign: accept operators outside ONNX's default domain.
        python: interpreter of the worker; by default the engine's private one, or this one where it has none.

    Raises:
        WorkerError: the worker died or hung, with its log.
        ModelError, ProviderError, UsageError, ResourceError: as the runtime raised them there.
    """

    def __init__(
        self,
        source: ModelSource,
        settings: RuntimeSettings,
        *,
        timeout_s: float = 120.0,
        allow_foreign: bool = True,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        python: str | None = None,
    ) -> None:
        private = private_python(settings.runtime) if python is None else None
        self._is_private = private is not None
        self._timeout_s = min(timeout_s, _time_limit_s())
        self._folder = tempfile.TemporaryDirectory(prefix="toolkit-worker-")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker; close() ends it
        self._timed_out = False
        self._lock = threading.Lock()
        try:
            self._process = self._start(python or private or sys.executable)
        except WorkerError:
            self._log.close()
            self._folder.cleanup()
            raise
        limit = None if settings.provider in UNLIMITED_PROVIDERS else memory_limit_bytes
        header = {
            "verb": "load",
            "settings": settings.to_json(),
            "sha256": source.sha256,
            "path": str(source.path),
            "run": str(source.run.resolve()) if source.run else None,
            "allow_foreign": allow_foreign,
            "memory_limit_bytes": limit,
        }
        try:
            answer, _ = self._request(header, {"model": np.frombuffer(source.model, np.uint8)})
        except BaseException:
            self.close()
            raise
        self.info = RuntimeInfo.from_json(answer["info"])
        self.model_summary: dict[str, Any] = answer["model"]
        self.cold_ms: dict[str, float] = answer["cold"]

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once in the worker; as `Runtime.run`."""
        return self._request({"verb": "run"}, feeds)[1]

    def measure(self, feeds: Arrays, plan: MeasurePlan) -> Window:
        """Run the timing loop inside the worker; as `measure.measure`."""
        told, arrays = self._request({"verb": "measure", "plan": plan.to_json()}, feeds)
        return Window(told["first_run_ns"], arrays["samples_ns"], arrays["gaps_ns"], told["facts"])

    @property
    def log(self) -> str:
        """The last lines that the worker wrote on its standard error."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LOG_TAIL_BYTES))
        return self._log.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the worker; a second call does nothing."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                write_frame(cast("BinaryIO", self._process.stdin), {"verb": "stop"})
            with contextlib.suppress(OSError):
                cast("BinaryIO", self._process.stdin).close()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast("BinaryIO", stream).close()
        self._log.close()
        self._folder.cleanup()

    def _start(self, python: str) -> subprocess.Popen[bytes]:
        # The package's own folder, so that a foreign interpreter finds the worker without an install. Where the package
        # was installed, that folder holds this Python's other packages too: they come after the interpreter's own.
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            **os.environ,
            PRIVATE_FOLDER_VARIABLE: str(private_root()),
            "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", "")))),
        }
        command = [python, "-P", "-m", "toolkit.runtimes.worker"]
        try:
            return subprocess.Popen(
                command,
                cwd=self._folder.name,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            raise WorkerError(f"cannot start a worker with {python}: {error.strerror}") from error

    def _request(self, header: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        answered = threading.Event()
        timer = threading.Timer(self._timeout_s, self._expire, (answered,))
        timer.daemon = True
        timer.start()
        try:
            write_frame(cast("BinaryIO", self._process.stdin), header, arrays)
            frame = read_frame(cast("BinaryIO", self._process.stdout))
        except (OSError, EOFError, ValueError):
            frame = None
        finally:
            with self._lock:  # an answer that came in time is never followed by a kill
                answered.set()
            timer.cancel()
        if frame is None:
            raise self._explain_death(header["verb"])
        if "error" in frame[0]:
            raise error_from_json(frame[0]["error"])
        return frame

    def _expire(self, answered: threading.Event) -> None:
        with self._lock:
            if not answered.is_set():
                self._timed_out = True
                self._process.kill()

    def _explain_death(self, verb: str) -> WorkerError:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._timed_out:
            reason = f"hung for {self._timeout_s:g} s and was ended"
        elif code < 0:
            reason = f"crashed with {signal.Signals(-code).name}"
        else:
            reason = f"left with exit code {code} without an answer"
        return WorkerError(f"the engine {reason} during {verb!r}", log=self.log)


@contextlib.contextmanager
def blame_the_file(name: str) -> Iterator[None]:
    """Turn the end of a worker into the fault of the file that it opened, where nothing else is asked of the engine.

    Raises:
        ModelError: the engine crashed or hung.
        WorkerError: no worker could be started, which says nothing about the file.
    """
    try:
        yield
    except WorkerError as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise ModelError(f"{name} was tried in a process of its own and {error}; it is not run here") from error


def _time_limit_s() -> float:
    text = os.environ.get(TIME_LIMIT_VARIABLE, "inf")
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise UsageError(f"{TIME_LIMIT_VARIABLE} is {text!r}; expected a number of seconds over 0")
    return limit
