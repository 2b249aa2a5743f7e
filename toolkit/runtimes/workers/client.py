"""The parent's side of a worker: sends it frames and tells why it died."""

from __future__ import annotations

__all__ = [
    "MEMORY_LIMIT_BYTES",
    "OpenedWorker",
    "Opener",
    "WorkerProcess",
    "WorkerRuntime",
    "blame_the_file",
    "open_worker",
]

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.closing import Closing
from toolkit.errors import HelperStartError, ModelError, WorkerError, error_from_json
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes.base import Arrays, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.installed import private_python
from toolkit.runtimes.providers import CUDA_PROVIDERS
from toolkit.runtimes.workers.frames import Frame, write_frame
from toolkit.runtimes.workers.helper import Helper
from toolkit.runtimes.workers.time_limits import ANSWER_S, lower_to_limit

if TYPE_CHECKING:
    from toolkit.runtimes.timing.plan import MeasurePlan, Window

MEMORY_LIMIT_BYTES = 12 << 30
# What workers of this process told of models that they vetted, by hash, whether foreign operators are allowed, and
# interpreter (an engine's own has an onnx of its own, which may know other opsets): the next such worker on the same
# bytes takes their word. onnx is a third of a worker's start. Refusals are not kept.
_VETTED: dict[tuple[str, bool, str | None], dict[str, Any]] = {}
MOST_VETTED = 64


class OpenedWorker(Protocol):
    """A model opened in a worker, as those see it who were handed an `Opener`; tests give a fake.

    Attributes:
        info: what is really running.
        model_summary: what vetting told of the file.
        cold_ms: how long the worker took to import the engine and to load the model.
        notes: what was passed over until now, one line each.
        left_out: outputs that have no form as arrays, and why.
    """

    info: RuntimeInfo
    model_summary: dict[str, Any]
    cold_ms: dict[str, float]
    notes: tuple[str, ...]
    left_out: dict[str, str]

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once; as `Runtime.run`."""

    def count_multiply_adds(self, feeds: Arrays) -> int | None:
        """Return the multiply-adds of a call, counted in the graph; None where the file does not tell."""

    def measure(self, feeds: Arrays, plan: MeasurePlan) -> Window:
        """Run the timing loop of one window."""


class Opener(Protocol):
    """Opens a model for as long as a `with` block lasts: `open_worker`, or a test's fake."""

    def __call__(
        self,
        source: ModelSource,
        settings: RuntimeSettings,
        *,
        timeout_s: float = ANSWER_S,
        allow_foreign: bool = True,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    ) -> AbstractContextManager[OpenedWorker]:
        """Open a model; arguments and errors as of `WorkerRuntime`."""


class WorkerProcess(Closing):
    """A worker in an empty folder, asked one thing after the other; a context manager.

    Attributes:
        notes: what its runtime has passed over until now, one line each.
        left_out: outputs that have no form as arrays, and why.
        helper: the process; who speaks with it otherwise reads and writes its streams.

    Args:
        timeout_s: most seconds for one request; `TOOLKIT_TIME_LIMIT` lowers it.
        python: its interpreter; this one by default.
        is_private: whether the interpreter is an engine's own.

    Raises:
        HelperStartError: it cannot be started.
    """

    def __init__(self, *, timeout_s: float = ANSWER_S, python: str | None = None, is_private: bool = False) -> None:
        self._timeout_s = lower_to_limit(timeout_s)
        self.notes: tuple[str, ...] = ()
        self.left_out: dict[str, str] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="toolkit-worker-")
        try:
            self.helper = Helper(
                "toolkit.runtimes.workers.worker",
                title="a worker",
                python=python,
                is_private=is_private,
                cwd=self._folder.name,
            )
        except HelperStartError:
            self._folder.cleanup()
            raise

    def request(self, header: dict[str, Any], arrays: Arrays | None = None) -> Frame:
        """Send a frame and return the answer.

        Raises:
            HelperStartError: the worker did not start.
            WorkerError: it died or hung, with its log.
            ModelError, ProviderError, UsageError, ResourceError: as they were raised there.
        """
        words = f"the engine {{end}} during {header['verb']!r}"
        frame = self.helper.ask(header, arrays, seconds=self._timeout_s, words=words)
        if "error" in frame[0]:
            error = error_from_json(frame[0]["error"])
            error.log = self.log
            raise error
        self.notes, self.left_out = tuple(frame[0]["notes"]), frame[0]["left_out"]
        return frame

    @property
    def log(self) -> str:
        """The last lines that the worker wrote on its standard error."""
        return self.helper.log

    def close(self) -> None:
        """End the worker; a second call does nothing."""
        with contextlib.suppress(OSError, ValueError):
            write_frame(self.helper.requests, {"verb": "stop"})
        self.helper.close(patience_s=2)
        self._folder.cleanup()


class WorkerRuntime(WorkerProcess):
    """A model opened in a worker process; a context manager with the face of a runtime.

    Args:
        source: the model.
        settings: how to execute it.
        timeout_s: most seconds for one request; `TOOLKIT_TIME_LIMIT` lowers it.
        allow_foreign: accept operators outside ONNX's default domain.
        python: interpreter of the worker; by default the engine's private one, or this one where it has none.

    Raises:
        HelperStartError: the worker cannot be started.
        WorkerError: the worker died or hung, with its log.
        ModelError, ProviderError, UsageError, ResourceError: as the runtime raised them there.
    """

    def __init__(
        self,
        source: ModelSource,
        settings: RuntimeSettings,
        *,
        timeout_s: float = ANSWER_S,
        allow_foreign: bool = True,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        python: str | None = None,
    ) -> None:
        private = private_python(settings.runtime) if python is None else None
        python = python or private
        super().__init__(timeout_s=timeout_s, python=python, is_private=private is not None)
        # A GPU's driver reserves far more address space than it uses, so a limit on it would refuse every GPU.
        limit = None if settings.provider in (*CUDA_PROVIDERS, "webgpu") else memory_limit_bytes
        key = source.sha256, allow_foreign, python
        known = _VETTED.get(key)
        header = {
            "verb": "load",
            "settings": to_plain(settings),
            "sha256": source.sha256,
            "path": str(source.path),
            "run": str(source.run.resolve()) if source.run else None,
            "allow_foreign": allow_foreign,
            "memory_limit_bytes": limit,
            "vetted": known,
        }
        try:
            answer, _ = self.request(header, {"model": np.frombuffer(source.model, np.uint8)})
        except BaseException:
            self.close()
            raise
        self.info: RuntimeInfo = from_plain(RuntimeInfo, answer["info"])
        self.model_summary: dict[str, Any] = answer["model"]
        self.cold_ms: dict[str, float] = answer["cold"]
        if known is None:
            if len(_VETTED) >= MOST_VETTED:
                _VETTED.clear()
            _VETTED[key] = self.model_summary

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once in the worker; as `Runtime.run`."""
        return self.request({"verb": "run"}, feeds)[1]

    def count_multiply_adds(self, feeds: Arrays) -> int | None:
        """Return the multiply-adds of a call, counted in the graph; None where the file does not tell."""
        shapes = {name: list(array.shape) for name, array in feeds.items()}
        return self.request({"verb": "count", "shapes": shapes})[0]["multiply_adds"]  # type: ignore[no-any-return]

    def measure(self, feeds: Arrays, plan: MeasurePlan) -> Window:
        """Run the timing loop inside the worker; as `timing.loop.measure`."""
        from toolkit.runtimes.timing.plan import Window  # most workers never measure

        told, arrays = self.request({"verb": "measure", "plan": to_plain(plan)}, feeds)
        return Window(told["first_run_ns"], facts=told["facts"], **arrays)


# What an `Opener` is where nothing else is given.
open_worker = WorkerRuntime


@contextlib.contextmanager
def blame_the_file(name: str) -> Iterator[None]:
    """Turn the end of a worker into the fault of the file that it opened, where nothing else is asked of the engine.

    Raises:
        ModelError: the engine crashed or hung.
        HelperStartError: no worker could be started, which says nothing about the file.
    """
    try:
        yield
    except HelperStartError:
        raise
    except WorkerError as error:
        raise ModelError(f"{name} was tried in a process of its own and {error}; it is not run here") from error
