"""The engine of a served model: a worker process that is never waited for, watched, and replaced where it dies.

Calls go out over its pipe and answers come back in their order, on the event loop. While there is no call it is asked
for a beat; what does not answer in time is killed, and another one is opened, warmed and proven in its place.
"""

from __future__ import annotations

__all__ = ["Engine"]

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from toolkit.errors import ToolkitError, WorkerError, error_from_json
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.frames import Frame, FrameBuffer, encode_frame
from toolkit.serving.batcher import Finished
from toolkit.serving.call_time import CallTime
from toolkit.serving.job import Arrays
from toolkit.serving.opening import OpenedEngine, call_sizes, open_engine

# An engine is taken for hung this long after it should have answered; another one is ready some half a second later, so
# that both together are under two seconds. One that only slept loses nothing but its place.
HUNG_S = 0.8
# A call may take so many times what the line says before that: a machine that does other work slows all down.
SLOW = 20
# Of the time between two looks so much counts: what is more, this process slept itself, and an answer may lie unread.
MOST_COUNTED_S = 0.15
# Between two tries to open another one, where the first failed.
AGAIN_S = 2.0


class _Asked(NamedTuple):
    """A call, or a beat, that the worker has not answered."""

    done: Finished
    rows: int


class Engine:
    """A model in a worker process; opened in any thread, used on the event loop that attached it.

    Attributes:
        source: the model.
        opened: what was opened last.
        line: how long calls take; the same one whatever process makes them.
        is_ready: whether it can be called.

    Args:
        source: the model.
        settings: how to execute it.
        max_batch: most rows in a call.

    Raises:
        ModelError, ProviderError, CheckFailedError, ResourceError: as `open_engine`.
    """

    def __init__(self, source: ModelSource, settings: RuntimeSettings, *, max_batch: int) -> None:
        self.source, self._settings, self._max_batch = source, settings, max_batch
        self._asked: deque[_Asked] = deque()
        self._on_lost: Callable[[str], None]
        self._on_ready: Callable[[], None]
        self._replies: _Replies | None
        self._forget()
        self._is_closing = False
        self._restarting: asyncio.Task[None] | None = None
        self._transports: tuple[asyncio.BaseTransport, ...] = ()
        self._silent_s, self._looked_at = 0.0, time.monotonic()
        self.is_ready = False
        self.opened = self._open()
        self.line: CallTime = self.opened.line

    async def attach(self, *, on_lost: Callable[[str], None], on_ready: Callable[[], None]) -> None:
        """Speak with the worker on this event loop from now on.

        Args:
            on_lost: called with a reason when it is gone, before its calls are told of it.
            on_ready: called when another one is there.
        """
        self._on_lost, self._on_ready = on_lost, on_ready
        await self._connect()

    def run(self, feeds: Arrays, done: Finished) -> None:
        """Call the model; `done` gets its outputs, or what ended the call, on the event loop."""
        rows = len(next(iter(feeds.values()))) if self.opened.tensors.largest else 1
        if not self._is_padding:
            self._send({"verb": "run"}, feeds, asked=_Asked(done, rows))
            return
        size = next(size for size in call_sizes(self._max_batch) if size >= rows)
        padded = {name: np.concatenate([array, *[array[-1:]] * (size - rows)]) for name, array in feeds.items()}

        def cut(result: Arrays | Exception) -> None:
            done(result if isinstance(result, Exception) else {name: value[:rows] for name, value in result.items()})

        self._send({"verb": "run"}, padded, asked=_Asked(cut, size))

    def watch(self) -> None:
        """Look after the worker; called several times a second."""
        now = time.monotonic()
        self._silent_s, self._looked_at = self._silent_s + min(now - self._looked_at, MOST_COUNTED_S), now
        if not self.is_ready:
            return
        if not self._asked:
            self._send({"verb": "beat"}, {}, asked=_Asked(lambda _: None, 0))
            return
        limit_s = HUNG_S + SLOW * sum(self.line.predict(asked.rows) for asked in self._asked)
        if self._silent_s > limit_s:
            self.lose(self._replies, f"gave no sign of life for {limit_s:.1f} s and was ended")

    async def close(self) -> None:
        """End the worker; what is asked of it is not answered any more."""
        self._is_closing, self.is_ready = True, False
        if self._restarting is not None:
            await asyncio.wait([self._restarting])
        await self._close_worker()
        self._forget()  # ways back to who holds it: they would keep the file until cycles are looked for

    def _forget(self) -> None:
        self._on_lost, self._on_ready, self._replies = lambda _: None, lambda: None, None

    @property
    def _is_padding(self) -> bool:
        """Whether calls are filled up to sizes that were warmed: a device compiles or tunes every other one."""
        return bool(self.opened.tensors.largest) and self.opened.worker.info.provider_active != "cpu"

    def _open(self) -> OpenedEngine:
        return open_engine(self.source, self._settings, max_batch=self._max_batch)

    async def _close_worker(self) -> None:
        for transport in self._transports:  # before their pipes: the next worker's may get the same numbers
            transport.close()
        await asyncio.to_thread(self.opened.worker.close)

    async def _connect(self) -> None:
        loop, helper = asyncio.get_running_loop(), self.opened.worker.helper
        replies = self._replies = _Replies(self)
        reading, _ = await loop.connect_read_pipe(lambda: replies, helper.replies)
        self._requests, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, helper.requests)
        self._transports = reading, self._requests
        self.is_ready = True

    def _send(self, header: dict[str, str], arrays: Arrays, *, asked: _Asked) -> None:
        if not self._asked:
            self._silent_s = 0.0
        self._asked.append(asked)
        if self._requests.is_closing():  # the worker is gone, and the pipe of its answers has not said so yet
            self.lose(self._replies, "ended")
        else:
            self._requests.writelines(encode_frame(header, arrays))

    def take(self, frame: Frame) -> None:
        """Hand an answer of the worker to who asked: answers come in the order of the calls."""
        header, arrays = frame
        self._silent_s = 0.0
        error = error_from_json(header["error"]) if "error" in header else None
        self._asked.popleft().done(arrays if error is None else error)

    def lose(self, replies: _Replies | None, why: str) -> None:
        """Give the worker up, tell its calls, and open another one; a second call does nothing."""
        if replies is not self._replies or not self.is_ready:
            return
        self.is_ready = False
        self.opened.worker.helper.kill()
        asked, self._asked = self._asked, deque()
        self._on_lost(why)
        for item in asked:
            item.done(WorkerError(f"the engine {why} during the call"))
        self._restarting = asyncio.create_task(self._restart())

    async def _restart(self) -> None:
        await self._close_worker()
        while not self._is_closing:
            try:
                self.opened = await asyncio.to_thread(self._open)
            except ToolkitError as error:
                self._on_lost(f"cannot be opened again: {error}; next try in {AGAIN_S:g} s")
                await asyncio.sleep(AGAIN_S)
                continue
            await self._connect()
            self._on_ready()
            return


class _Replies(asyncio.Protocol):
    """The worker's end of the pipe as an event loop reads it."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._frames = engine, FrameBuffer()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._engine.take(frame)
        except ValueError as error:
            self._engine.lose(self, f"answered what is no answer ({error})")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as the base class
        self._engine.lose(self, "ended")
