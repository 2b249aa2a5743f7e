"""The batcher: requests wait here for the engine, share its calls, and get their own rows back.

Rows are counted, not requests. A batch forms only while the engine is busy, or for as long as it may wait. Nothing here
knows of a network, of threads, or of how the engine is reached: it is called with arrays and answers by a callback.
"""

from __future__ import annotations

__all__ = ["Batcher", "Finished"]

import functools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from toolkit.errors import ModelError
from toolkit.serving.call_time import CallTime
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.job import Arrays, Job, count_rows, join_feeds, share_out

# Called once for every call of the engine, with its outputs or what ended it.
Finished = Callable[[Arrays | Exception], None]
# While a full batch waits, the next call is handed over before the one at work is answered: the engine is never idle.
CALLS_AHEAD = 2


@dataclass(eq=False)
class Batcher:
    """Jobs in, calls of the engine out, one batch at a time.

    Attributes:
        run: calls the engine.
        line: how long its calls take; read and followed.
        now: the clock, in seconds.
        call_later: runs a function after so many seconds.
        observe: is told the rows and the seconds of every call that was answered.
        max_batch: most rows in a call.
        max_wait_s: how long a batch that is not full waits for more rows while the engine is free.
        max_queue: most rows that may wait.
        is_open: whether the engine can be called; set through `pause` and `resume`.
        queued_rows: rows that wait.
    """

    run: Callable[[Arrays, Finished], None]
    line: CallTime
    now: Callable[[], float]
    call_later: Callable[[float, Callable[[], None]], object]
    observe: Callable[[int, float], None]
    max_batch: int = 64
    max_wait_s: float = 0.0
    max_queue: int = 1024
    is_open: bool = True
    queued_rows: int = 0
    _queue: deque[Job] = field(default_factory=deque)
    _flying: deque[list[Job]] = field(default_factory=deque)
    _flying_rows: int = 0
    _freed_at: float = -math.inf
    _lingers: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is with the engine."""
        return not self._flying and not self._queue

    def submit(self, job: Job) -> None:
        """Take a job that keeps the engine's limits; its `answer` is set some time.

        Raises:
            RefusedError: it would not be answered in time, or too much waits already.
        """
        job.queued_at = self.now()
        wait_s, left_s = self.predict_wait(job.rows), job.deadline - job.queued_at
        if self.line.predict(job.rows) > left_s:
            raise RefusedError(f"the request may take {left_s:.3g} s, less than the model takes", status=504)
        if wait_s > left_s or self.queued_rows + job.rows > self.max_queue:
            raise RefusedError(
                f"too many requests: {self.queued_rows} rows wait, an answer would come in {wait_s:.3g} s",
                status=429,
                retry_after_s=max(1, math.ceil(wait_s - left_s)),
            )
        self._put(self._queue.append, job)
        self.pump()

    def predict_wait(self, rows: int) -> float:
        """Return in how many seconds so many more rows would be answered."""
        ahead = self.queued_rows + rows
        wait_s = self.line.predict(ahead, calls=math.ceil(ahead / self.max_batch))
        if self._flying:
            at_work = self.line.predict(self._flying_rows, calls=len(self._flying))
            wait_s += max(0.0, at_work - (self.now() - self._started_at(self._flying[0])))
        return wait_s

    def forget(self, job: Job) -> None:
        """Take out a job whose client is gone; with the engine it stays, and its rows are dropped."""
        job.answer.cancel()
        self._remove(lambda other: other is job)

    def tick(self) -> None:
        """Refuse what has waited too long; called every now and then."""
        now = self.now()
        for job in self._remove(lambda job: job.deadline < now):
            self._refuse_late(job)

    def pump(self) -> None:
        """Hand to the engine what it can take now."""
        while self._may_send() and (batch := self._take()):
            self._flying.append(batch)
            self._flying_rows += count_rows(batch)
            self.run(join_feeds(batch), functools.partial(self._finish, batch))

    def pause(self) -> None:
        """Hold all back: the engine is gone."""
        self.is_open = False

    def resume(self) -> None:
        """Go on with an engine that is there again."""
        self.is_open = True
        self.pump()

    def _put(self, place: Callable[[Job], None], job: Job) -> None:
        place(job)
        self.queued_rows += job.rows

    def _pop(self) -> Job:
        job = self._queue.popleft()
        self.queued_rows -= job.rows
        return job

    def _remove(self, is_out: Callable[[Job], bool]) -> list[Job]:
        removed = [job for job in self._queue if is_out(job)]
        if removed:
            self._queue = deque(job for job in self._queue if not is_out(job))
            self.queued_rows -= count_rows(removed)
        return removed

    def _refuse_late(self, job: Job) -> None:
        waited_s = self.now() - job.queued_at
        job.refuse(RefusedError(f"the request waited {waited_s:.3g} s, longer than it may", status=504))

    def _may_send(self) -> bool:
        if not self._queue or not self.is_open:
            return False
        if self.queued_rows >= self.max_batch:
            return len(self._flying) < CALLS_AHEAD
        if self._flying:
            return False
        wait_s = self._queue[0].queued_at + self.max_wait_s - self.now()
        if wait_s > 0 and not self._lingers:
            self._lingers = True
            self.call_later(wait_s, self._stop_lingering)
        return wait_s <= 0

    def _stop_lingering(self) -> None:
        self._lingers = False
        self.pump()

    def _take(self) -> list[Job]:
        """Take the next batch off the queue; empty where all of it was late."""
        batch: list[Job] = []
        rows = 0
        while self._queue and (not batch or self._queue[0].rows + rows <= self.max_batch):
            if batch and not batch[0].goes_with(self._queue[0]):
                break
            job = self._pop()
            job.sent_at = self.now()
            if job.deadline < job.sent_at:
                self._refuse_late(job)
            elif not job.answer.done():
                batch.append(job)
                rows += job.rows
        return batch

    def _started_at(self, batch: list[Job]) -> float:
        return max(batch[0].sent_at, self._freed_at)

    def _finish(self, batch: list[Job], result: Arrays | Exception) -> None:
        now, rows = self.now(), count_rows(batch)
        self._flying.remove(batch)
        self._flying_rows -= rows
        if isinstance(result, Exception):
            self._retry(batch, result)
        else:
            seconds = now - self._started_at(batch)
            self.line.add(rows, seconds)
            self.observe(rows, seconds)
            share_out(batch, result)
        self._freed_at = now
        self.pump()

    def _retry(self, batch: list[Job], reason: Exception) -> None:
        """Try each request of a failed call once more, alone: one that breaks the engine fails itself only."""
        is_final = len(batch) == 1 and (isinstance(reason, ModelError) or batch[0].failures > 0)
        for job in reversed(batch):
            job.shares, job.failures = False, job.failures + 1
            if is_final:
                job.refuse(reason)
            elif not job.answer.done():
                self._put(self._queue.appendleft, job)
