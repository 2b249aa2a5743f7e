"""Decode, run, write at the same time, in bounded memory; decoders become processes where a thread is too slow."""

from __future__ import annotations

__all__ = ["Pipeline", "usable_cores"]

import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from toolkit.closing import Closing
from toolkit.imaging.plain_png import prefer_fast_decoder
from toolkit.prediction.cache import PictureCache
from toolkit.prediction.items import ArrayItem
from toolkit.prediction.prepare_items import prepare_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from toolkit.prediction.blocks import Answers, Block
    from toolkit.prediction.decoder_pool import DecoderPool
    from toolkit.prediction.items import Item
    from toolkit.prediction.prepare_items import Preparation

# Decoding in this process until it is clear that the model waits for it: processes take a moment to start.
PATIENCE_S = 0.4
HUNGRY_SHARE = 0.2
# From here on importing a faster decoder pays.
MANY_PICTURES = 2000
# Blocks that may wait between two steps, beyond one for each decoder.
SPARE_BLOCKS = 2


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pipeline(Closing):
    """Jobs in, answered blocks out, in order.

    One thread decodes and one runs the model. Where the model spends over a fifth of its time waiting, decoding moves
    into processes, one for each core.

    Args:
        answer: runs one block; called from one thread only.
        preparation: how pictures are brought to the model.
        cache_path: file of pictures that were prepared before; None for none.
        processes: most decoder processes; 0 keeps decoding in this process.
    """

    def __init__(
        self,
        answer: Callable[[Block], Answers],
        preparation: Preparation,
        *,
        cache_path: Path | None = None,
        processes: int,
    ) -> None:
        self._answer = answer
        self._preparation = preparation
        self._cache_path = cache_path
        self._cache = PictureCache(cache_path, preparation) if cache_path is not None else None
        self._processes = processes
        self._pool: DecoderPool | None = None
        self._near = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._far: ThreadPoolExecutor | None = None
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="run")
        self._hunger = _Hunger()
        self._num_encoded = 0

    @property
    def num_processes(self) -> int:
        """Decoder processes that were started."""
        return 0 if self._pool is None else self._processes

    def run(self, jobs: Iterable[Sequence[Item]]) -> Iterator[tuple[Block, Answers]]:
        """Yield each job's block with its answers; few jobs are taken ahead of what was yielded."""
        waiting: deque[Future[tuple[Block, Answers]]] = deque()
        for job in jobs:
            waiting.append(self._submit(job))
            while len(waiting) > self.num_processes + SPARE_BLOCKS or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """Stop what is under way and end the processes."""
        executors = [executor for executor in (self._near, self._far, self._runner) if executor is not None]
        for executor in executors:
            executor.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            self._pool.close()
        for executor in executors:
            executor.shutdown(wait=True)
        if self._cache is not None:
            self._cache.close()

    def _submit(self, job: Sequence[Item]) -> Future[tuple[Block, Answers]]:
        return self._runner.submit(self._run_block, self._decode(job))

    def _decode(self, job: Sequence[Item]) -> Future[Block]:
        is_encoded = any(not isinstance(item, ArrayItem) and item.content is not None for item in job)
        if is_encoded and self._pool is None and self._processes > 0 and self._hunger.is_great():
            self._start_pool()
        if is_encoded and self._pool is not None and self._far is not None:
            return self._far.submit(self._pool.prepare, job)
        self._num_encoded += len(job) if is_encoded else 0
        if self._num_encoded > MANY_PICTURES:
            self._near.submit(prefer_fast_decoder)
            self._num_encoded = -sys.maxsize  # once
        return self._near.submit(prepare_items, job, self._preparation, cache=self._cache)

    def _start_pool(self) -> None:
        from toolkit.prediction.decoder_pool import DecoderPool

        self._pool = DecoderPool(self._preparation, size=self._processes, cache=self._cache_path)
        self._far = ThreadPoolExecutor(self._processes, thread_name_prefix="decoders")

    def _run_block(self, decoded: Future[Block]) -> tuple[Block, Answers]:
        with self._hunger:
            block = decoded.result()
        return block, self._answer(block)


class _Hunger:
    """How much of its time a consumer waits: inside `with`, it does."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._waited = 0.0
        self._since: float | None = None
        self._lock = threading.Lock()

    def is_great(self) -> bool:
        """Whether enough time has passed, and much of it was waiting."""
        now = time.perf_counter()
        with self._lock:
            waited = self._waited + (now - self._since if self._since is not None else 0.0)
        elapsed = now - self._start
        return elapsed > PATIENCE_S and waited > HUNGRY_SHARE * elapsed

    def __enter__(self) -> None:
        with self._lock:
            self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            assert self._since is not None
            self._waited += time.perf_counter() - self._since
            self._since = None
