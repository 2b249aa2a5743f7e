"""What a parity matrix covers, and how much time and memory a stranger's reference may take."""

from __future__ import annotations

__all__ = ["DEFAULT_BUDGET_S", "SHORT_MULTIPLY_ADDS", "WHOLE_BATCH", "Budget", "ParityConfig", "memory_for_reference"]

import math
import time
from dataclasses import dataclass, field

from toolkit.environment import available_memory_bytes
from toolkit.errors import UsageError, require_known
from toolkit.runtimes.workers.client import MEMORY_LIMIT_BYTES

# Batch size for the whole test set.
WHOLE_BATCH = 64
# What an engine may compute a float32 file in; what a file itself is stored in is not asked for here.
ARITHMETICS = ("fp32", "tf32", "bf16", "all")
DEFAULT_BUDGET_S = 30.0
# Of a self-test's calls together, counted and not timed, so that every machine makes the same calls.
SHORT_MULTIPLY_ADDS = 1_500_000_000
# The float64 evaluation may not take what everything else needs.
MEMORY_SHARE = 0.75
LEAST_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityConfig:
    """The axes of the matrix.

    Attributes:
        runtimes: registry names; None for ONNX Runtime, and PyTorch where the run is at hand.
        providers: ONNX Runtime's providers; `all` tries every one and may skip.
        precisions: what engines compute in; None for float32, and with the runtimes `all` for everything they can.
        threads: thread counts; 0 is the engine's own choice.
        optimisations: ONNX Runtime's graph optimisation levels.
        small_batches: further batch sizes, run on the first `small_count` images.
        small_count: images for the small batches; not a multiple of most of them, so that a rest occurs.
        sample: judge only so many evenly spaced test images; None for all.
        allow_fallback: let a provider fall back to the CPU, marked.
        at: URL of the server that remote runtimes ask.
    """

    runtimes: tuple[str, ...] | None = None
    providers: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] | None = None
    threads: tuple[int, ...] = (0, 1)
    optimisations: tuple[str, ...] = ("all", "none")
    small_batches: tuple[int, ...] = (1, 2, 3, 7, 257)
    small_count: int = 514
    sample: int | None = None
    allow_fallback: bool = False
    at: str = ""

    def __post_init__(self) -> None:
        for name in self.precisions or ():
            require_known(name, ARITHMETICS, what="precision")
        if min(self.small_count, *self.small_batches) < 1:
            raise UsageError("batch sizes and image counts must be at least 1")
        if self.sample is not None and self.sample < 1:
            raise UsageError(f"the sample is {self.sample}; expected at least 1 image")


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
