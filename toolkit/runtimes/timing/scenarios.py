"""MLPerf's scenarios but single-stream: calls that arrive together, at random, or are all there from the start."""

from __future__ import annotations

__all__ = ["Clock", "Loop", "run_offline", "run_server", "run_streams"]

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from toolkit.closing import Closing
from toolkit.runtimes.timing.plan import MeasurePlan

Call = Callable[[], object]
# A queue that grows is followed no longer than this many times the window's own length.
PATIENCE = 2.0
ARRIVALS_AT_A_TIME = 1024


class Clock(NamedTuple):
    """What tells the time.

    Attributes:
        now: nanoseconds since some moment.
        wait_until: returns when that many nanoseconds are reached.
    """

    now: Callable[[], int]
    wait_until: Callable[[int], None]


class Loop(NamedTuple):
    """What a loop counted.

    Attributes:
        samples: nanoseconds of every query, in the order of the answers.
        gaps: nanoseconds from the answer before to each.
        unserved: queries that arrived and were not answered.
    """

    samples: list[int]
    gaps: list[int]
    unserved: int = 0


def run_streams(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
    """Issue queries of `streams` calls that arrive together; a query has ended when the last of them has answered."""
    samples: list[int] = []
    with _Crew(call, plan.runs_at_once) as crew:
        start = before = clock.now()
        while True:
            crew.run(plan.streams)
            now = clock.now()
            samples.append(now - before)
            before = now
            if _is_over(len(samples), (now - start) / 1e9, plan=plan):
                return Loop(samples, samples)


def run_server(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
    """Answer calls that arrive at random (a Poisson process), first come, first served, one at a time.

    The latency of a call is counted from the moment it was *scheduled* to arrive, so that a slow call is paid for by
    all that wait behind it (what a loop that waits for answers leaves out is known as "coordinated omission").
    Arrivals end with the window; what waits then is answered.
    """
    samples: list[int] = []
    ends: list[int] = []
    start = clock.now()
    for number, arrival in enumerate(_arrivals(plan, start)):
        if _is_over(number, (arrival - start) / 1e9, plan=plan):
            return _served(samples, ends, start_ns=start)
        clock.wait_until(arrival)
        late_s = (clock.now() - arrival) / 1e9
        if samples and late_s > PATIENCE * plan.max_s:
            return _served(samples, ends, start_ns=start, unserved=int(late_s * (plan.rate or 0)) + 1)
        call()
        now = clock.now()
        samples.append(now - arrival)
        ends.append(now)
    raise AssertionError("arrivals never end by themselves")


def run_offline(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
    """Keep `runs_at_once` calls in flight until the window is over; a sample is the time of one of them."""
    lock = threading.Lock()
    samples: list[int] = []
    ends: list[int] = []
    start = clock.now()

    def work() -> None:
        while True:
            before = clock.now()
            call()
            now = clock.now()
            with lock:
                samples.append(now - before)
                ends.append(now)
                if _is_over(len(ends), (now - start) / 1e9, plan=plan):
                    return

    with ThreadPoolExecutor(plan.runs_at_once) as pool:
        for future in [pool.submit(work) for _ in range(plan.runs_at_once)]:
            future.result()
    return _served(samples, ends, start_ns=start)


class _Crew(Closing):
    """Runs the same call several times, some at once; without threads where one is enough."""

    def __init__(self, call: Call, size: int) -> None:
        self._call, self._size = call, size
        self._pool = ThreadPoolExecutor(size - 1) if size > 1 else None

    def run(self, count: int) -> None:
        """Make `count` calls, each thread its share: handing over single calls would cost more than a short one."""
        if self._pool is None:
            self._repeat(count)
            return
        shares = [count // self._size + (place < count % self._size) for place in range(self._size)]
        futures = [self._pool.submit(self._repeat, share) for share in shares[1:] if share]
        self._repeat(shares[0])
        for future in futures:
            future.result()

    def _repeat(self, count: int) -> None:
        for _ in range(count):
            self._call()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _arrivals(plan: MeasurePlan, start_ns: int) -> Iterator[int]:
    generator, moment = np.random.default_rng(plan.seed), float(start_ns)
    while True:
        # Drawn in advance: a call of the generator costs microseconds.
        for gap in generator.exponential(1e9 / (plan.rate or 1), ARRIVALS_AT_A_TIME).tolist():
            moment += gap
            yield round(moment)


def _served(samples: list[int], ends: list[int], *, start_ns: int, unserved: int = 0) -> Loop:
    order = sorted(range(len(ends)), key=ends.__getitem__)
    moments = [start_ns, *(ends[number] for number in order)]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    return Loop([samples[number] for number in order], gaps, unserved)


def _is_over(calls: int, elapsed_s: float, *, plan: MeasurePlan) -> bool:
    return calls > 0 and elapsed_s >= plan.min_s and (calls >= plan.min_calls or elapsed_s >= plan.max_s)
