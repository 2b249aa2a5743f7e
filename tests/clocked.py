"""An engine whose calls take times that are known, on a clock that only they move: the whole harness, without waiting."""

from __future__ import annotations

__all__ = ["ClockedEngine", "FakeClock"]

from collections.abc import Callable
from typing import Any

import numpy as np
from fake_engine import FakeEngine, make_info

from toolkit.runtimes.timing.loop import measure
from toolkit.runtimes.timing.plan import Clock, MeasurePlan, Window


class FakeClock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now_ns = 0

    def as_clock(self) -> Clock:
        return Clock(lambda: self.now_ns, self._wait_until)

    def _wait_until(self, moment_ns: int) -> None:
        self.now_ns = max(self.now_ns, moment_ns)


class NoMeters:
    """Sees nothing."""

    def read(self) -> dict[str, Any]:
        return {}

    def since(self, before: dict[str, Any]) -> dict[str, Any]:
        return {}


class ClockedEngine(FakeEngine):
    """Runs the real timing loop over calls of known length.

    Args:
        latency_ns: of the call with this number, from 0; calls that are not counted have one too.
        clock: what the calls move; shared where variants take turns.
    """

    def __init__(self, latency_ns: Callable[[int], int], clock: FakeClock | None = None, **changes: Any) -> None:
        super().__init__(make_info(**changes))
        self.clock = clock or FakeClock()
        self.calls = 0
        self.notes: list[str] = []
        self.all_ns: list[int] = []
        self.order: list[Any] = []
        self._latency_ns = latency_ns

    def prepare(self, feeds: Any, *, boundary: str) -> Callable[[], object]:
        return self._call

    def run(self, feeds: Any) -> dict[str, Any]:
        self._call()
        return {}

    def time_phases(self, feeds: Any, now_ns: Any, *, calls: int) -> None:
        return None

    def measure(self, feeds: Any, plan: MeasurePlan) -> Window:
        self.order.append(self)
        return measure(self, feeds, plan=plan, clock=self.clock.as_clock(), meters=NoMeters())  # type: ignore[arg-type]

    def _call(self) -> None:
        taken = int(self._latency_ns(self.calls))
        self.calls += 1
        self.clock.now_ns += taken
        self.all_ns.append(taken)


def draw(values_ns: np.ndarray) -> Callable[[int], int]:
    """Return latencies from a list that is long enough, over and over."""
    return lambda number: int(values_ns[number % values_ns.size])
