"""The highest rate of arrivals at random of which 99 % are answered within a limit: which rate is tried next.

A search by halving, in which noise can only lower the answer: a rate holds if it held in every one of `RUNS` runs, and
one that missed once is not tried again.
"""

from __future__ import annotations

__all__ = ["RUNS", "RateRun", "TriedRate", "bracket", "list_rates", "next_run", "windows_at"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np

from toolkit.bench.statistics import nearest_rank, sample_floor
from toolkit.plain import to_plain
from toolkit.runtimes.timing.plan import MeasurePlan, Window

RUNS = 3
# Told apart are rates that differ by more; the first is so much of what a closed loop is answered.
STEP, FIRST_SHARE, RISE = 1.05, 0.75, 1.25
# A server that misses its limit at less than this share of it does so at any rate.
LEAST_SHARE = 1 / 64
CLOSED_S = 1.0
# A slow server's run takes longer than asked for, until a p99 can be told; no longer than this.
LONGEST_S = 60.0
WITHIN = Fraction(99, 100)
# One thread of Python that has this much of a core has no time left to be punctual.
BUSY_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRun:
    """One run at a rate.

    Attributes:
        offered: requests that arrived.
        refused: of them, those for which the server said that it has no room.
        failed: those that were answered with another error, or not at all.
        p50_ms: of all that arrived, from the scheduled arrival; None where so many were missed.
        p99_ms: as well.
        client_share: of a core that the client used.
        client_lag_p99_ms: how long 99 % of the answered ones waited for the client itself at the most.
        verdict: `holds`; `misses`; or `client`: it misses, but without the client's own lag it would hold, or the
            client was at its end.
    """

    offered: int
    refused: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    client_share: float | None
    client_lag_p99_ms: float | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedRate:
    """A rate that was tried.

    Attributes:
        rate: requests a second that arrive, on average.
        runs: in their order; the last one decides where it did not hold.
    """

    rate: float
    runs: tuple[RateRun, ...]

    @property
    def verdict(self) -> str:
        """`holds`, `misses`, `client`; `open` while runs are missing."""
        last = self.runs[-1].verdict
        return "open" if last == "holds" and len(self.runs) < RUNS else last

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"rate": self.rate, "verdict": self.verdict, "runs": to_plain(self.runs)}


def next_run(plan: MeasurePlan, done: Sequence[Window]) -> MeasurePlan | None:
    """Return the plan of the next run, None where the search is over.

    The first is a closed loop, which only tells where to begin.

    Args:
        plan: of the whole search; `max_s` are the seconds of a run.
        done: the runs so far.
    """
    whole = replace(plan, scenario="offline", max_p99_ms=None, min_s=CLOSED_S, max_s=CLOSED_S, phase_calls=0)
    if not done:
        return whole
    first = done[0]
    rate = _next_rate(first.samples_ns.size / max(int(first.gaps_ns.sum()) / 1e9, 1e-9), list_rates(plan, done))
    if not first.samples_ns.size or rate is None:
        return None
    return replace(
        whole,
        scenario="server",
        rate=rate,
        warmup_calls=min(plan.warmup_calls, 3),
        warmup_s=0.0,
        min_calls=sample_floor("p99"),
        min_s=plan.max_s,
        max_s=max(plan.max_s, LONGEST_S),
        seed=plan.seed + len(done),
    )


def list_rates(plan: MeasurePlan, done: Sequence[Window]) -> list[TriedRate]:
    """Return the rates that were tried, in their order."""
    runs = [window for window in done if window.facts.get("rate") is not None]
    return [
        TriedRate(rate=rate, runs=tuple(_judge(window, plan) for window in windows))
        for rate, windows in groupby(runs, key=lambda window: float(window.facts["rate"]))
    ]


def bracket(tried: Sequence[TriedRate]) -> tuple[TriedRate | None, TriedRate | None]:
    """Return the highest rate that holds, and the lowest that does not; None where there is none."""
    held = [rate for rate in tried if rate.verdict == "holds"]
    missed = [rate for rate in tried if rate.verdict in {"misses", "client"}]
    return max(held, key=_rate_of, default=None), min(missed, key=_rate_of, default=None)


def windows_at(rate: float, done: Sequence[Window]) -> list[Window]:
    """Return the runs at a rate."""
    return [window for window in done if window.facts.get("rate") == rate]


def _rate_of(tried: TriedRate) -> float:
    return tried.rate


def _next_rate(most: float, tried: Sequence[TriedRate]) -> float | None:
    """Return the rate of the next run; None where the highest that holds and the lowest that does not are close."""
    if tried and tried[-1].verdict == "open":
        return tried[-1].rate
    held, missed = bracket(tried)
    low, high = (None if rate is None else rate.rate for rate in (held, missed))
    if low is None:
        wanted = most * FIRST_SHARE if high is None else high / 2
        is_over = wanted < most * LEAST_SHARE or wanted * LONGEST_S < sample_floor("p99")
    else:
        wanted = low * RISE if high is None else (low + high) / 2
        is_over = high is not None and high <= low * STEP
    rate = float(f"{wanted:.3g}")
    return None if is_over or rate in {low, high} else rate


def _judge(window: Window, plan: MeasurePlan) -> RateRun:
    samples, facts = window.samples_ns, window.facts
    lags = np.zeros_like(samples) if window.lags_ns is None else window.lags_ns
    refused, failed = facts.get("refused", 0), facts.get("failed", 0)
    offered = samples.size + refused + failed
    share = facts["own_cpu_s"] / facts["elapsed_s"] if {"own_cpu_s", "elapsed_s"} <= {*facts} else None
    limit_ns = (plan.max_p99_ms or 0) * 1e6

    def holds(latencies: Any) -> bool:
        return bool((latencies <= limit_ns).sum() >= WITHIN * offered) and offered >= sample_floor("p99")

    is_client = holds(samples - lags) or (share or 0) >= BUSY_SHARE
    return RateRun(
        offered=offered,
        refused=refused,
        failed=failed,
        p50_ms=_percentile_ms(samples, "p50", offered=offered),
        p99_ms=_percentile_ms(samples, "p99", offered=offered),
        client_share=share,
        client_lag_p99_ms=_percentile_ms(lags, "p99", offered=lags.size),
        verdict="holds" if holds(samples) else "client" if is_client else "misses",
    )


def _percentile_ms(samples: Any, percentile: str, *, offered: int) -> float | None:
    """Return a percentile of all that arrived: one that was missed is later than any that was answered."""
    if offered < sample_floor(percentile):
        return None
    late = np.iinfo(np.int64).max
    found = nearest_rank(np.sort(np.pad(samples, (0, offered - samples.size), constant_values=late)), percentile)
    return None if found == late else found / 1e6
