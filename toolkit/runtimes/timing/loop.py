"""The timing loops of one window, one for each of MLPerf's scenarios; they run in the worker, next to the engine."""

from __future__ import annotations

__all__ = ["measure"]

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np

from toolkit.closing import Closing
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.query import Missed, Sender
from toolkit.runtimes.timing.meters import Meters
from toolkit.runtimes.timing.plan import Clock, Loop, MeasurePlan, Window

# A sleeping thread wakes up tens of microseconds late; the last part of a wait is spent awake.
AWAKE_NS = 500_000
# A queue that grows is followed no longer than this many times the window's own length.
PATIENCE = 2.0
ARRIVALS_AT_A_TIME = 1024
Call = Callable[[], object]


def _wait_until(moment_ns: int) -> None:
    while (left := moment_ns - time.perf_counter_ns()) > 0:
        if left > AWAKE_NS:
            time.sleep((left - AWAKE_NS) / 1e9)


REAL_CLOCK = Clock(time.perf_counter_ns, _wait_until)


def measure(
    runtime: Runtime, feeds: Arrays, *, plan: MeasurePlan, clock: Clock = REAL_CLOCK, meters: Meters | None = None
) -> Window:
    """Time calls with the same feeds.

    The first call is checked as `Runtime.run` checks; the counted ones are the engine's alone.

    Args:
        runtime: an opened model.
        feeds: every input by name.
        plan: what to ask and for how long.
        clock: tells the time and waits; another one in tests.
        meters: what is read before and after the counted part.

    Raises:
        UsageError: the runtime cannot be measured that way.
    """
    start = clock.now()
    runtime.run(feeds)
    first = clock.now() - start
    call = runtime.prepare(feeds, boundary=plan.boundary)
    _warm_up(call, plan, clock=clock)
    reading = meters or Meters.of(runtime.info.provider_active)
    with ExitStack() as stack:
        sender = None
        if plan.driver == "loadgen":
            most = plan.runs_at_once if plan.scenario == "offline" else None
            sender = runtime.open_sender(feeds, at_once=most)
            stack.callback(sender.close if sender else lambda: None)
        before = reading.read()
        done = _run_scenario(call, plan, clock=clock, sender=sender)
        facts = {**reading.since(before), "unserved": done.unserved, "notes": list(runtime.notes)}
    if plan.phase_calls:
        facts["phases_ms"] = runtime.time_phases(feeds, clock.now, calls=plan.phase_calls)
    samples, gaps, lags = (np.array(column, np.int64) for column in (done.samples, done.gaps, done.lags))
    if sender is None:
        return Window(first, samples, gaps, facts)
    return Window(first, samples, gaps, {**facts, **_count_missed(done.missed), "rate": plan.rate}, lags)


def _count_missed(missed: Sequence[Missed]) -> dict[str, Any]:
    refused = sum(query.is_refused for query in missed)
    first = missed[0].words if missed else ""
    return {"refused": refused, "failed": len(missed) - refused, "first_missed": first}


def _run_scenario(call: Call, plan: MeasurePlan, *, clock: Clock, sender: Sender | None) -> Loop:
    if plan.driver == "loadgen":
        from toolkit.runtimes.timing.loadgen import run_loadgen

        return run_loadgen(call, plan, sender=sender)
    if plan.scenario == "server":
        return _run_server(call, plan, clock=clock)
    if plan.scenario == "multi-stream":
        return _run_streams(call, plan, clock=clock)
    if plan.scenario == "offline" and plan.runs_at_once > 1:
        return _run_offline(call, plan, clock=clock)
    return _run_one_by_one(call, plan, now_ns=clock.now)


def _run_one_by_one(call: Call, plan: MeasurePlan, *, now_ns: Callable[[], int]) -> Loop:
    samples: list[int] = []
    keep = samples.append
    least_ns, most_ns, least_calls = plan.min_s * 1e9, plan.max_s * 1e9, plan.min_calls
    start = before = now_ns()
    while True:
        call()
        now = now_ns()
        keep(now - before)
        before = now
        elapsed = now - start
        if elapsed >= least_ns and (len(samples) >= least_calls or elapsed >= most_ns):
            return Loop(samples, samples)


def _warm_up(call: Call, plan: MeasurePlan, *, clock: Clock) -> None:
    start, calls = clock.now(), 0
    while calls < plan.warmup_calls or (clock.now() - start) / 1e9 < plan.warmup_s:
        call()
        calls += 1
        # A slow engine is warm after a few calls: the counted part is what the time is for.
        if (clock.now() - start) / 1e9 > max(plan.warmup_s, plan.max_s):
            return


def _run_streams(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
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


def _run_server(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
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
            # This one, and as many as by the rate have arrived since.
            return _served(samples, ends, start_ns=start, unserved=int(late_s * (plan.rate or 0)) + 1)
        call()
        now = clock.now()
        samples.append(now - arrival)
        ends.append(now)
    raise AssertionError("arrivals never end by themselves")


def _run_offline(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
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
