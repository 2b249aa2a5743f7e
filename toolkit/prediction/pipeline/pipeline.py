"""Decode, run, write at the same time, in bounded memory; decoders become processes where threads are too slow."""

from __future__ import annotations

__all__ = ["Pipeline"]

import contextlib
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from toolkit.closing import Closing
from toolkit.prediction.pipeline.prepare_items import prepare_items
from toolkit.prediction.sources.items import ArrayItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block
    from toolkit.prediction.pipeline.decoder_pool import DecoderPool
    from toolkit.prediction.pipeline.prepare_items import Preparation
    from toolkit.prediction.sources.items import Item

# Decoding in this process until it is clear that the model waits for it: processes take a moment to start.
PATIENCE_S = 0.8
STARVING_SHARE = 0.3
# Threads for a model that runs once at a time: one reads what the last run answered while the next one runs.
TURNS = 2
# Blocks that may wait between two steps, beyond one for each decoder.
SPARE_BLOCKS = 2


class Pipeline(Closing):
    """Jobs in, answered blocks out, in order.

    One thread decodes and two take turns at running the model and reading its answers, as a device wants it; or, where
    the model may be run several times at once, a thread for each core decodes a block and runs it, which costs no
    handing over. Where the model is starved, because those that run it spend over three tenths of their time waiting
    (for pictures, or for Python's one lock), decoding moves into processes.

    Args:
        answer: runs one block; called from several threads.
        preparation: how pictures are brought to the model.
        processes: most decoder processes; 0 keeps decoding in this process.
        runs_at_once: how often the model may be run at the same time.
    """

    def __init__(
        self,
        answer: Callable[[Block], AnsweredBlock],
        preparation: Preparation,
        *,
        processes: int,
        runs_at_once: int = 1,
    ) -> None:
        self._answer = answer
        self._preparation = preparation
        self._processes = processes
        self._pool: DecoderPool | None = None
        # Decodes here; a model that runs several times at once has none, as its own threads decode.
        self._near = ThreadPoolExecutor(1, thread_name_prefix="decode") if runs_at_once == 1 else None
        # Waits for decoder processes, a thread for each.
        self._far: ThreadPoolExecutor | None = None
        self._runners = max(runs_at_once, TURNS)
        self._runner = ThreadPoolExecutor(self._runners, thread_name_prefix="run")
        self._starvation = _Starvation(self._runners)
        # Two threads that decode at the same time hand Python's one lock to and fro at every system call: half as fast.
        self._decoding = threading.Lock()
        self._is_closed = threading.Event()

    @property
    def num_processes(self) -> int:
        """Decoder processes that were started."""
        return 0 if self._pool is None else self._processes

    def run(self, jobs: Iterable[Sequence[Item]]) -> Iterator[tuple[Block, AnsweredBlock]]:
        """Yield each job's block with its answers; few jobs are taken ahead of what was yielded."""
        waiting: deque[Future[tuple[Block, AnsweredBlock]]] = deque()
        for job in jobs:
            waiting.append(self._submit(job))
            most = self.num_processes + self._runners - 1 + SPARE_BLOCKS
            while len(waiting) > most or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """Stop what is under way and end the processes."""
        # First nothing new begins, then the processes end, so that nobody waits for a picture that never comes.
        self._is_closed.set()
        executors = [executor for executor in (self._near, self._far, self._runner) if executor is not None]
        for executor in executors:
            executor.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            self._pool.close()
        for executor in executors:
            executor.shutdown(wait=True)

    def _submit(self, job: Sequence[Item]) -> Future[tuple[Block, AnsweredBlock]]:
        decoded = self._decode(job)
        if decoded is None:
            return self._runner.submit(self._decode_and_run, job)
        return self._runner.submit(self._run_decoded, decoded)

    def _decode(self, job: Sequence[Item]) -> Future[Block] | None:
        """Let a job be decoded; None where the thread that runs it is to do that."""
        # Pixels and rows without a picture cost less to make ready than to send to a process and back.
        is_encoded = any(not isinstance(item, ArrayItem) and item.content is not None for item in job)
        if is_encoded and self._pool is None and self._processes > 0 and self._starvation.is_severe():
            self._start_pool()
        if is_encoded and self._pool is not None and self._far is not None:
            return self._far.submit(self._pool.prepare, job)
        return None if self._near is None else self._near.submit(self._prepare, job)

    def _prepare(self, job: Sequence[Item]) -> Block:
        # A block of large photographs takes most of a minute: who leaves waits for one of them, not for all.
        return prepare_items(job, self._preparation, before=self._refuse_closed)

    def _refuse_closed(self) -> None:
        if self._is_closed.is_set():
            raise CancelledError

    def _start_pool(self) -> None:
        from toolkit.prediction.pipeline.decoder_pool import DecoderPool

        self._pool = DecoderPool(self._preparation, size=self._processes)
        self._far = ThreadPoolExecutor(self._processes, thread_name_prefix="decoders")

    def _run_decoded(self, decoded: Future[Block]) -> tuple[Block, AnsweredBlock]:
        with self._starvation.waiting():
            block = decoded.result()
        return block, self._answer(block)

    def _decode_and_run(self, job: Sequence[Item]) -> tuple[Block, AnsweredBlock]:
        start, busy = time.perf_counter(), time.thread_time()
        with self._decoding:
            block = self._prepare(job)
        # What did not compute waited: for the lock, for a disk, for a core.
        self._starvation.add((time.perf_counter() - start) - (time.thread_time() - busy))
        return block, self._answer(block)


class _Starvation:
    """How much of their time consumers wait for work.

    Args:
        consumers: how many there are.
    """

    def __init__(self, consumers: int) -> None:
        self._consumers = consumers
        self._start = self._last = time.perf_counter()
        self._waited = 0.0
        self._num_waiting = 0
        self._lock = threading.Lock()

    def is_severe(self) -> bool:
        """Whether enough time has passed, and much of it was waiting."""
        with self._lock:
            self._catch_up()
            elapsed = self._last - self._start
            return elapsed > PATIENCE_S and self._waited > STARVING_SHARE * elapsed * self._consumers

    def add(self, seconds: float) -> None:
        """Count what a consumer has waited."""
        with self._lock:
            self._waited += max(0.0, seconds)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, a consumer waits."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, number: int) -> None:
        with self._lock:
            self._catch_up()
            self._num_waiting += number

    def _catch_up(self) -> None:
        """Count what those that wait have waited since the last change of their number."""
        now = time.perf_counter()
        self._waited += self._num_waiting * (now - self._last)
        self._last = now
