"""Opens a model in an engine before it is asked for, while something else is computed."""

from __future__ import annotations

__all__ = ["EarlyOpener"]

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from toolkit.closing import Closing
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import OpenedWorker, Opener


class _Begun(NamedTuple):
    """A model that is being opened.

    Attributes:
        worker: it, or what opening it raised.
        undo: closes it.
    """

    worker: Future[OpenedWorker]
    undo: contextlib.ExitStack

    def close(self) -> None:
        """Close it, once it is open: nobody waits for that."""
        self.worker.add_done_callback(lambda _: self.undo.close())


class EarlyOpener(Closing):
    """An `Opener` that can begin before it is called; a context manager, which closes what was never asked for.

    Args:
        opener: opens a model.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._begun: dict[RuntimeSettings, _Begun] = {}

    def begin(self, source: ModelSource, settings: RuntimeSettings, *, timeout_s: float) -> None:
        """Begin to open a model in a thread of its own."""
        begun = self._begun[settings] = _Begun(Future(), contextlib.ExitStack())

        def work() -> None:
            try:
                opened = begun.undo.enter_context(self._opener(source, settings, timeout_s=timeout_s))
            except BaseException as error:  # noqa: BLE001 - who asks for the model gets it
                begun.worker.set_exception(error)
            else:
                begun.worker.set_result(opened)

        # Its end is not waited for either: an engine may hang, and who presses Ctrl-C means now.
        threading.Thread(target=work, name="early opener", daemon=True).start()

    def __call__(
        self, source: ModelSource, settings: RuntimeSettings, **limits: Any
    ) -> AbstractContextManager[OpenedWorker]:
        """Return the model that was begun with these settings, else open it now; raises what opening raises."""
        begun = self._begun.pop(settings, None)
        return self._opener(source, settings, **limits) if begun is None else _wait_for(begun)

    def close(self) -> None:
        """Close what was begun and not asked for."""
        while self._begun:
            self._begun.popitem()[1].close()


@contextlib.contextmanager
def _wait_for(begun: _Begun) -> Iterator[OpenedWorker]:
    try:
        yield begun.worker.result()
    finally:
        begun.close()
