"""A row is measured in windows until three in a row agree, or its time is over."""

from __future__ import annotations

__all__ = ["STABLE_SPREAD", "WINDOWS", "next_window", "pool_windows", "window_spread"]

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.bench.statistics import nearest_rank, sample_floor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from toolkit.runtimes.timing.plan import MeasurePlan, Window

WINDOWS = 3
STABLE_SPREAD = 0.10
# So many windows fit into the longest time: enough for three that agree after some that did not.
MOST_WINDOWS = 6
# After other variants had their turn a few calls bring caches and clocks back; the first window warms up in full.
AGAIN_CALLS, AGAIN_S = 3, 0.02
PHASE_CALLS = 30


def next_window(plan: MeasurePlan, done: Sequence[Window]) -> MeasurePlan | None:
    """Return the plan of the next window, None where the row has enough.

    Enough is: `min_calls` and `min_s` are reached and the last three windows agree; or `max_s` is over.

    Args:
        plan: of the whole row.
        done: its windows so far.
    """
    calls = sum(window.samples_ns.size for window in done)
    counted_s = sum(int(window.gaps_ns.sum()) for window in done) / 1e9
    left_s = plan.max_s - counted_s
    if done and left_s <= 0:
        return None
    spread = window_spread(done, plan.scenario)
    is_enough = len(done) >= WINDOWS and calls >= plan.min_calls and counted_s >= plan.min_s
    # Windows that are too short to be judged come from a slow engine: more of them would be as short.
    if is_enough and (spread is None or spread <= STABLE_SPREAD):
        return None
    longest_s = min(plan.max_s / MOST_WINDOWS, left_s)
    windows_left = max(WINDOWS - len(done), 1)
    return replace(
        plan,
        warmup_calls=min(AGAIN_CALLS, plan.warmup_calls) if done else plan.warmup_calls,
        warmup_s=min(AGAIN_S, plan.warmup_s) if done else plan.warmup_s,
        min_calls=max(math.ceil((plan.min_calls - calls) / windows_left), sample_floor("p50") if done else 1, 1),
        min_s=min(plan.min_s / WINDOWS, longest_s),
        max_s=longest_s,
        seed=plan.seed + len(done),
        phase_calls=0 if done else PHASE_CALLS,
    )


def window_spread(done: Sequence[Window], scenario: str) -> float | None:
    """Return by how much the last three windows differ: largest over smallest, less 1, of median or throughput.

    None with fewer than three, or where one has too few calls for a median. The throughput of `server` is that of the
    arrivals, which says nothing of the engine.
    """
    last = done[-WINDOWS:]
    if len(last) < WINDOWS or min(window.samples_ns.size for window in last) < sample_floor("p50"):
        return None
    medians = [nearest_rank(np.sort(window.samples_ns), "p50") for window in last]
    rates = [window.gaps_ns.size / max(int(window.gaps_ns.sum()), 1) for window in last]
    figures = (medians,) if scenario == "server" else (medians, rates)
    return max(max(values) / max(min(values), 1e-12) - 1 for values in figures)


def pool_windows(done: Sequence[Window]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return samples and gaps of all windows, one after another; nothing is left out."""
    return (
        np.concatenate([window.samples_ns for window in done]),
        np.concatenate([window.gaps_ns for window in done]),
    )
