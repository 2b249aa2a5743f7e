"""What a served model has done: counted once, told as the protocol's statistics and as Prometheus metrics."""

from __future__ import annotations

__all__ = ["BUCKETS_S", "PHASES", "ModelStats", "Spread"]

import bisect
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# From 50 us up: a call of a small model takes less than what most tools call their first bucket.
BUCKETS_S = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BUCKETS_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
# Of a request: read and checked, waiting for the engine, with the engine, answer written.
PHASES = ("compute_input", "queue", "compute_infer", "compute_output")


@dataclass(slots=True)
class Spread:
    """How many numbers there were, their sum, and how many were in each bucket."""

    bounds: tuple[float, ...] = BUCKETS_S
    count: int = 0
    total: float = 0.0
    buckets: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buckets = [0] * (len(self.bounds) + 1)

    def add(self, number: float) -> None:
        """Count one."""
        self.count += 1
        self.total += number
        self.buckets[bisect.bisect_left(self.bounds, number)] += 1

    @property
    def as_duration(self) -> dict[str, int]:
        """What the protocol calls a statistic: `count` and `ns`."""
        return {"count": self.count, "ns": round(self.total * 1e9)}


@dataclass(slots=True)
class ModelStats:
    """Counts since the start.

    Attributes:
        codes: requests by the status that they were answered with.
        refusals: of those, the ones without an answer, by reason.
        rows: rows that were answered.
        phases: seconds of requests, by `PHASES`.
        success: seconds of answered requests, whole.
        fail: seconds of the others.
        batches: rows of the engine's calls.
        calls: calls of the engine and their seconds, by rows.
        restarts: engines that were replaced because they died or hung.
        reloads: files that were `taken` in place of another one, and those that were `refused`.
        last_ms: when the last request was answered, milliseconds since 1970; 0: never.
    """

    codes: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    phases: dict[str, Spread] = field(default_factory=lambda: {name: Spread() for name in PHASES})
    success: Spread = field(default_factory=Spread)
    fail: Spread = field(default_factory=Spread)
    batches: Spread = field(default_factory=lambda: Spread(BUCKETS_ROWS))
    calls: dict[int, Spread] = field(default_factory=dict)
    restarts: int = 0
    # Not from nothing: an alert on a counter's increase sees none where the counter was not there before.
    reloads: Counter[str] = field(default_factory=lambda: Counter(taken=0, refused=0))
    last_ms: int = 0

    def add_call(self, rows: int, seconds: float) -> None:
        """Count a call of the engine."""
        self.batches.add(rows)
        self.calls.setdefault(rows, Spread()).add(seconds)

    def add_answer(self, rows: int, seconds: tuple[float, float, float, float]) -> None:
        """Count a request that was answered; the seconds are in the order of `PHASES`."""
        for name, each in zip(PHASES, seconds, strict=True):
            self.phases[name].add(each)
        self.success.add(sum(seconds))
        self.rows += rows
        self.last_ms = time.time_ns() // 1_000_000

    def to_protocol(self, name: str, version: str) -> dict[str, Any]:
        """Return the statistics extension's object of one model."""
        none = {"count": 0, "ns": 0}
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": self.batches.count,
            "inference_stats": {
                "success": self.success.as_duration,
                "fail": self.fail.as_duration,
                **{phase: spread.as_duration for phase, spread in self.phases.items()},
                "cache_hit": none,
                "cache_miss": none,
            },
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": {"count": spread.count, "ns": 0},
                    "compute_infer": spread.as_duration,
                    "compute_output": {"count": spread.count, "ns": 0},
                }
                for rows, spread in sorted(self.calls.items())
            ],
        }
