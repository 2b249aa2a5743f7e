"""What is to be measured, and for how long."""

from __future__ import annotations

__all__ = ["DEFAULT_BATCHES", "DEFAULT_PLAN", "BenchConfig", "plan_within"]

import math
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from toolkit.errors import UsageError
from toolkit.runtimes.base import PRECISIONS
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.measure_plan import MeasurePlan

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.runtimes.base import RuntimeSettings

DEFAULT_BATCHES = (1, 32, 256)
# 662 calls are the floor of p99; 3.5 s a row keep the default three rows under 20 s on any machine.
DEFAULT_PLAN = MeasurePlan(warmup_calls=10, warmup_s=0.3, min_calls=662, min_s=1.0, max_s=3.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """A sweep: every runtime on every provider that it has, at every precision, thread count and batch size.

    Attributes:
        runtimes: names in the registry, or `all`.
        providers: names of providers or devices, `auto` (the first that works) or `all`.
        batches: batch sizes; None takes 1, 32, 256, or the model's own where that is fixed.
        threads: threads inside one operator; 0 leaves the engine its own choice.
        precisions: arithmetic to ask for; empty takes the file's own.
        tf32: let CUDA round float32 products to TF32.
        optimisation: graph optimisation level, as in `RuntimeSettings`.
        allow_fallback: measure on the CPU where a provider is not active, and mark the row.
        feeds: arrays or shapes that the user gave.
        inputs_path: where those arrays lie.
        plan: warm-up and length of one row.
        grace_s: seconds beyond the plan's own after which a worker is taken for hung, which is a failed row.
    """

    runtimes: tuple[str, ...] = ("ort",)
    providers: tuple[str, ...] = ("cpu",)
    batches: tuple[int, ...] | None = None
    threads: tuple[int, ...] = (0,)
    precisions: tuple[str, ...] = ()
    tf32: bool = False
    optimisation: str = "all"
    allow_fallback: bool = False
    feeds: FeedConfig = field(default_factory=FeedConfig)
    inputs_path: Path | None = None
    plan: MeasurePlan = DEFAULT_PLAN
    grace_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("runtimes", "providers", "threads"):
            if not getattr(self, name):
                raise UsageError(f"a benchmark needs at least one entry in {name}")
        if self.batches is not None and (not self.batches or min(self.batches) < 1):
            raise UsageError(f"the batch sizes are {list(self.batches)}; expected at least one, each 1 or more")
        unknown = [precision for precision in self.precisions if precision not in PRECISIONS]
        if unknown:
            raise UsageError(f"unknown precision {unknown[0]!r}; known: {', '.join(PRECISIONS)}")
        if not self.grace_s > 0:
            raise UsageError(f"the grace of a worker is {self.grace_s:g} s; expected more than 0")

    def plan_for(self, settings: RuntimeSettings) -> MeasurePlan:
        """Return the plan of a row on a worker with these settings."""
        return replace(self.plan, runs_at_once=settings.runs_at_once)

    @property
    def timeout_s(self) -> float:
        """Most seconds for one request to a worker: warming up may take as long as measuring, and then the grace."""
        return self.plan.warmup_s + 2 * self.plan.max_s + self.grace_s

    def command_line(self, model: Path) -> str:
        """Return the command that repeats this benchmark, quoted for a shell, with the defaults written out."""
        lists = {
            "--runtime": self.runtimes,
            "--provider": self.providers,
            "--batch": self.batches,
            "--threads": self.threads,
            "--precision": self.precisions,
        }
        options = [part for name, values in lists.items() if values for part in (name, ",".join(map(str, values)))]
        if self.plan != DEFAULT_PLAN:
            options += ["--seconds", f"{self.plan.max_s:g}"]
        if self.inputs_path is not None:
            options += ["--inputs", str(self.inputs_path)]
        for name, shape in self.feeds.shapes.items():
            options += ["--shape", f"{name}={','.join(map(str, shape))}"]
        flags = [name for name, on in (("--tf32", self.tf32), ("--allow-fallback", self.allow_fallback)) if on]
        return shlex.join(["toolkit", "bench", str(model), *options, *flags])


def plan_within(max_s: float) -> MeasurePlan:
    """Return the default plan with another limit for one row, in seconds.

    Raises:
        UsageError: the limit is not over 0, or not finite.
    """
    if not 0 < max_s < math.inf:
        raise UsageError(f"the seconds of one row are {max_s:g}; expected more than 0, and finite")
    least_s, warmup_s = min(DEFAULT_PLAN.min_s, max_s), min(DEFAULT_PLAN.warmup_s, max_s)
    return replace(DEFAULT_PLAN, max_s=max_s, min_s=least_s, warmup_s=warmup_s)
