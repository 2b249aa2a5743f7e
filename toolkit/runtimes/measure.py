"""The timing loop; it runs inside the worker, next to the engine."""

from __future__ import annotations

__all__ = ["MeasurePlan", "measure"]

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.runtimes.base import Arrays, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurePlan:
    """How long and how often to measure.

    Attributes:
        warmup_calls: least calls before the clock counts.
        warmup_s: least seconds before the clock counts.
        min_calls: least calls that are counted.
        min_s: least seconds that are counted.
        max_s: most seconds that are counted; ends the loop even before `min_calls`.
    """

    warmup_calls: int = 10
    warmup_s: float = 0.3
    min_calls: int = 100
    min_s: float = 1.0
    max_s: float = 5.0

    def __post_init__(self) -> None:
        if min(self.warmup_calls, self.warmup_s, self.min_s) < 0 or self.min_calls < 1 or self.max_s < self.min_s:
            raise UsageError(
                f"the measuring plan {self} makes no sense: counts must be positive and max_s at least min_s"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return asdict(self)


def measure(runtime: Runtime, feeds: Arrays, plan: MeasurePlan) -> dict[str, NDArray[Any]]:
    """Time calls with the same feeds, host to host.

    The first call is checked as `Runtime.run` checks; the counted ones are the engine's alone.

    Returns:
        `first_run_ns` int64 `[1]`: the very first call. `samples_ns` int64 `[n]`: every counted call, none left out.
    """
    clock = time.perf_counter_ns
    start = clock()
    runtime.run(feeds)
    first = clock() - start
    compute = runtime.compute
    _warm_up(runtime, feeds, plan)
    samples: list[int] = []
    start = before = clock()
    while True:
        compute(feeds)
        now = clock()
        samples.append(now - before)
        before = now
        elapsed_s = (now - start) / 1e9
        if elapsed_s >= plan.max_s or (elapsed_s >= plan.min_s and len(samples) >= plan.min_calls):
            break
    return {"first_run_ns": np.array([first], np.int64), "samples_ns": np.array(samples, np.int64)}


def _warm_up(runtime: Runtime, feeds: Arrays, plan: MeasurePlan) -> None:
    start, calls = time.perf_counter_ns(), 0
    while calls < plan.warmup_calls or (time.perf_counter_ns() - start) / 1e9 < plan.warmup_s:
        runtime.compute(feeds)
        calls += 1
        # A slow engine is warm after a few calls: the counted part is what the time is for.
        if (time.perf_counter_ns() - start) / 1e9 > max(plan.warmup_s, plan.max_s):
            return
