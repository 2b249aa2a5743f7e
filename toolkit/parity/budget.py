"""How long the answers of a stranger's file may take to compute, and in how much memory."""

from __future__ import annotations

__all__ = ["DEFAULT_BUDGET_S", "SHORT_MULTIPLY_ADDS", "Budget", "memory_for_reference"]

import math
import time
from dataclasses import dataclass, field

from toolkit.environment import available_memory_bytes
from toolkit.errors import UsageError
from toolkit.runtimes.workers.client import MEMORY_LIMIT_BYTES

DEFAULT_BUDGET_S = 30.0
# Of a self-test's calls together, counted and not timed, so that every machine makes the same calls.
SHORT_MULTIPLY_ADDS = 1_500_000_000
# The float64 evaluation may not take what everything else needs.
MEMORY_SHARE = 0.75
LEAST_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Time for the reference of one check, from when it is made.

    Attributes:
        seconds: of all calls together; infinite for no limit.
        start: on the monotonic clock.
        multiply_adds: of all calls together, as far as they can be counted in the graph; None for no limit.
    """

    seconds: float = DEFAULT_BUDGET_S
    start: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108 - tests put in another clock
    multiply_adds: int | None = None

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise UsageError(f"--budget is {self.seconds:g}; expected a number of seconds over 0")

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 where it is spent."""
        return max(0.0, self.start + self.seconds - time.monotonic())

    @property
    def spent_share(self) -> float:
        """The share that is spent; 0 where there is no limit."""
        return 1.0 - self.remaining_s / self.seconds if math.isfinite(self.seconds) else 0.0

    def allows(self, seconds: float) -> bool:
        """Tell whether so much more time fits."""
        return seconds <= self.remaining_s

    def describe(self) -> str:
        """Return the budget in words."""
        if self.multiply_adds is not None:
            return f"the budget of {self.multiply_adds:.2g} multiply-adds and {self.seconds:g} s"
        return "no limit of time" if math.isinf(self.seconds) else f"the budget of {self.seconds:g} s"


def memory_for_reference() -> int:
    """Return the bytes of memory that the float64 evaluation may use: three quarters of what is free, 2 to 12 GiB."""
    free = available_memory_bytes()
    wanted = MEMORY_LIMIT_BYTES if free is None else int(MEMORY_SHARE * free)
    return min(MEMORY_LIMIT_BYTES, max(LEAST_MEMORY_BYTES, wanted))
