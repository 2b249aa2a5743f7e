"""How one row, or one window of it, is to be measured, by which clock, and what it leaves."""

from __future__ import annotations

__all__ = ["SCENARIOS", "Clock", "Loop", "MeasurePlan", "Window"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from toolkit.errors import UsageError, require_known
from toolkit.runtimes.query import Missed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# MLPerf Inference's words (its rules, section 4), and what `server` is used to find.
SCENARIOS = ("single-stream", "multi-stream", "server", "offline", "capacity")
MOST_STREAMS = 10_000
DRIVERS = ("toolkit", "loadgen")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurePlan:
    """What is asked, how long and how often.

    Attributes:
        scenario: `single-stream`: one call, and the next when it has answered. `multi-stream`: `streams` items arrive
            together, and the next when all are answered. `server`: calls arrive at random, `rate` a second on average,
            and wait their turn; their latency counts from the arrival. `offline`: everything is there from the start.
            `capacity`: the highest rate of `server` at which 99 % are answered within a limit.
        streams: items that arrive together in `multi-stream`; MLPerf has 8.
        rate: calls a second that arrive in `server`.
        max_p99_ms: the limit of `capacity`.
        runs_at_once: calls in flight at the same time in `multi-stream` and `offline`.
        seed: of the arrivals.
        driver: `toolkit`, or `loadgen`: MLPerf's own load generator.
        boundary: `host`: from host arrays to host arrays. `device`: inputs and outputs stay in the device's memory.
        phase_calls: how often copies and computing are timed apart, where a device has its own memory; 0 is not at all.
        warmup_calls: least calls before the clock counts.
        warmup_s: least seconds before the clock counts.
        min_calls: least calls that are counted.
        min_s: least seconds that are counted.
        max_s: most seconds that are counted; ends the loop even before `min_calls`.
    """

    scenario: str = "single-stream"
    streams: int = 8
    rate: float | None = None
    max_p99_ms: float | None = None
    runs_at_once: int = 1
    seed: int = 0
    driver: str = "toolkit"
    boundary: str = "host"
    phase_calls: int = 0
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
        for name, known in (("scenario", SCENARIOS), ("driver", DRIVERS), ("boundary", ("host", "device"))):
            require_known(getattr(self, name), known, what=name)
        if min(self.streams, self.runs_at_once) < 1 or self.streams > MOST_STREAMS:
            raise UsageError(
                f"streams is {self.streams}, runs_at_once {self.runs_at_once}; expected 1 or more, "
                f"and at most {MOST_STREAMS:,} streams"
            )
        if (self.scenario == "server") != (self.rate is not None):
            raise UsageError("scenario server needs the rate of arrivals, and no other one takes it: --rate 100")
        if (self.scenario == "capacity") != (self.max_p99_ms is not None):
            raise UsageError("scenario capacity needs a limit, and no other one takes it: --max-p99-ms 20")
        if self.max_p99_ms is not None and not 0 < self.max_p99_ms < math.inf:
            raise UsageError(f"--max-p99-ms is {self.max_p99_ms:g}; expected more than 0, and finite")
        if self.rate is not None and not 0 < self.rate < 1e7:
            raise UsageError(f"the rate is {self.rate:g} calls a second; expected more than 0 and under 10 million")


class Window(NamedTuple):
    """What one window left; nothing was left out of it.

    Attributes:
        first_run_ns: the first call with these feeds in this window: in a fresh worker the first of all.
        samples_ns: int64 `[n]`, the latency of every counted query.
        gaps_ns: int64 `[n]`, time from the answer before to this one; their sum is the window's length.
        facts: what the meters saw meanwhile; `unserved`: arrivals of `server` that were not answered in time;
            `refused`, `failed` and in words `first_missed`: queries that a server did not answer, at this `rate`; the
            runtime's `notes`.
        lags_ns: int64 `[n]`, how long of its latency each query waited for the client itself; None where none did.
    """

    first_run_ns: int
    samples_ns: NDArray[np.int64]
    gaps_ns: NDArray[np.int64]
    facts: dict[str, Any]
    lags_ns: NDArray[np.int64] | None = None


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
        lags: nanoseconds that each query waited for the client itself, where that is known.
        missed: queries that a server refused, or failed to answer.
    """

    samples: list[int]
    gaps: list[int]
    unserved: int = 0
    lags: Sequence[int] = ()
    missed: Sequence[Missed] = ()
