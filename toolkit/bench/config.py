"""What is to be measured, and for how long."""

from __future__ import annotations

__all__ = ["DEFAULT_BATCHES", "DEFAULT_PLAN", "BenchConfig", "plan_within"]

import math
from dataclasses import dataclass, field, replace

from toolkit.bench.statistics import sample_floor
from toolkit.errors import UsageError, require_known
from toolkit.runtimes.base import PRECISIONS, RuntimeSettings
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.providers import DeviceOptions
from toolkit.runtimes.registry import RUNTIMES
from toolkit.runtimes.synthetic_inputs.plan import FeedPlan
from toolkit.runtimes.timing.plan import MeasurePlan

DEFAULT_BATCHES = (1, 32, 256)
# Of a server: most take no more than 64 in a request; and its capacity is one of requests first of all.
REMOTE_BATCHES, CAPACITY_BATCHES = (1, 32), (1,)
# 662 calls are the floor of p99; 3.5 s a row keep the default three rows under 20 s on any machine.
DEFAULT_PLAN = MeasurePlan(warmup_calls=10, warmup_s=0.3, min_calls=662, min_s=1.0, max_s=3.5)
BINDINGS = ("auto", "on", "off")
# Seconds beyond a plan's own after which a worker is taken for hung, which is a failed row.
GRACE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """A sweep: every runtime on every provider that it has, at every precision, thread count and batch size.

    Attributes:
        runtimes: names in the registry, or `all`.
        providers: names of providers or devices, `auto` (the first that works) or `all`.
        batches: batch sizes; None takes `default_batches` as far as their time allows, or the model's own where that is
            fixed.
        threads: threads inside one operator; 0 leaves the engine its own choice.
        precisions: arithmetic to ask for; empty takes the file's own. A file of another precision is the one beside the
            model that was derived from it (`toolkit export --precision`).
        io_bindings: on devices: `on` keeps inputs and outputs in buffers there, `off` is a plain call, `auto` is `on`
            where there is a device.
        tf32: let CUDA round float32 products to TF32.
        device: options of providers that have a device of their own.
        require_all_nodes: refuse a model of which a provider leaves nodes to the CPU; else they are listed.
        allow_fallback: measure on the CPU where a provider is not active, and mark the row.
        allow_external_data: the model's weights may lie in files beside it.
        at: URL of the server that remote runtimes ask.
        feeds: arrays, shapes or numbers that the user gave.
        feed_plan: what a stranger's file is fed, as a trial chose it; None where there was none.
        plan: scenario, warm-up and length of one row.
    """

    runtimes: tuple[str, ...] = ("ort",)
    providers: tuple[str, ...] = ("cpu",)
    batches: tuple[int, ...] | None = None
    threads: tuple[int, ...] = (0,)
    precisions: tuple[str, ...] = ()
    io_bindings: tuple[str, ...] = ("auto",)
    tf32: bool = False
    device: DeviceOptions = field(default_factory=DeviceOptions)
    require_all_nodes: bool = False
    allow_fallback: bool = False
    allow_external_data: bool = False
    at: str = ""
    feeds: FeedConfig = field(default_factory=FeedConfig)
    feed_plan: FeedPlan | None = None
    plan: MeasurePlan = DEFAULT_PLAN

    def __post_init__(self) -> None:
        for name in ("runtimes", "providers", "threads", "io_bindings"):
            if not getattr(self, name):
                raise UsageError(f"a benchmark needs at least one entry in {name}")
        if self.batches is not None and (not self.batches or min(self.batches) < 1):
            raise UsageError(f"the batch sizes are {list(self.batches)}; expected at least one, each 1 or more")
        for what, values, known in (
            ("precision", self.precisions, PRECISIONS),
            ("IO binding", self.io_bindings, BINDINGS),
        ):
            for value in values:
                require_known(value, known, what=what)
        rate, least = self.plan.rate, sample_floor("p50")
        if rate is not None and rate * self.plan.max_s < least:
            raise UsageError(
                f"at {rate:g} calls a second {self.plan.max_s:g} s hold hardly {rate * self.plan.max_s:.2g}; "
                f"a p50 needs {least}: --seconds {math.ceil(least / rate)}, or a higher rate"
            )
        self._check_arrivals()
        if "off" in self.io_bindings and (self.device.cuda_graph or self.plan.boundary == "device"):
            raise UsageError("CUDA graphs and --boundary device need IO binding; leave out --io-binding off")

    def _check_arrivals(self) -> None:
        """Refuse a capacity of what is no server, and of a server what nobody can set or see from here."""
        here = [name for name in self.runtimes if not (name in RUNTIMES and RUNTIMES[name].is_remote)]
        if self.plan.scenario == "capacity" and here:
            raise UsageError(f"capacity is a server's, and {', '.join(here)} runs here; name one with --at URL")
        if not here and (any(self.threads) or {*self.io_bindings} != {"auto"} or self.require_all_nodes):
            raise UsageError(
                "--threads, --io-binding and --require-all-nodes are about engines that run here; a server's are its "
                "own: leave them out"
            )
        if self.at and self.plan.scenario in {"server", "capacity"} and self.plan.driver != "loadgen":
            raise UsageError(f"arrivals at a server are issued by LoadGen, not {self.plan.driver}; leave out --driver")

    @property
    def default_batches(self) -> tuple[int, ...]:
        """What is measured where no batch sizes are named."""
        if self.plan.scenario == "capacity":
            return CAPACITY_BATCHES
        return REMOTE_BATCHES if self.at else DEFAULT_BATCHES

    def plan_for(self, settings: RuntimeSettings) -> MeasurePlan:
        """Return the plan of a row on a worker with these settings."""
        return replace(self.plan, runs_at_once=settings.runs_at_once)

    @property
    def timeout_s(self) -> float:
        """Most seconds for one request to a worker: warming up may take as long as measuring, and then the grace."""
        return self.plan.warmup_s + 2 * self.plan.max_s + GRACE_S


def plan_within(max_s: float, start: MeasurePlan = DEFAULT_PLAN) -> MeasurePlan:
    """Return a plan with another limit for one row, in seconds.

    Raises:
        UsageError: the limit is not over 0, or not finite.
    """
    if not 0 < max_s < math.inf:
        raise UsageError(f"the seconds of one row are {max_s:g}; expected more than 0, and finite")
    return replace(start, max_s=max_s, min_s=min(start.min_s, max_s), warmup_s=min(start.warmup_s, max_s))
