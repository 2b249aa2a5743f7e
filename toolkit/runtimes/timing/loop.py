"""The timing loops of one window; they run inside the worker, next to the engine."""

from __future__ import annotations

__all__ = ["REAL_CLOCK", "Clock", "measure"]

import time
from collections.abc import Callable

import numpy as np

from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.timing.meters import Meters
from toolkit.runtimes.timing.plan import MeasurePlan, Window
from toolkit.runtimes.timing.scenarios import Clock, Loop, run_offline, run_server, run_streams

# A sleeping thread wakes up tens of microseconds late; the last part of a wait is spent awake.
AWAKE_NS = 500_000
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
    before = reading.read()
    done = _run_scenario(call, plan, clock=clock)
    facts = {**reading.since(before), "unserved": done.unserved, "notes": list(runtime.notes)}
    if plan.phase_calls:
        facts["phases_ms"] = runtime.time_phases(feeds, clock.now, calls=plan.phase_calls)
    return Window(first, np.array(done.samples, np.int64), np.array(done.gaps, np.int64), facts)


def _run_scenario(call: Call, plan: MeasurePlan, *, clock: Clock) -> Loop:
    if plan.driver == "loadgen":
        from toolkit.runtimes.timing.loadgen import run_loadgen

        return run_loadgen(call, plan)
    if plan.scenario == "server":
        return run_server(call, plan, clock=clock)
    if plan.scenario == "multi-stream":
        return run_streams(call, plan, clock=clock)
    if plan.scenario == "offline" and plan.runs_at_once > 1:
        return run_offline(call, plan, clock=clock)
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
