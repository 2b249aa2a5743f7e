"""How far a figure would move if the calls were measured again: a bootstrap over blocks of neighbouring calls."""

from __future__ import annotations

__all__ = ["CONFIDENCE_95", "THROUGHPUT", "bootstrap_intervals"]

import math
from typing import TYPE_CHECKING

import numpy as np

from toolkit.bench.statistics import PERCENTILES, rank_of, sample_floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

THROUGHPUT = "throughput_items_per_s"
CONFIDENCE_95 = 0.95
# With many samples an interval is narrow, and fewer resamples find its ends well enough.
MOST_RESAMPLES, LEAST_RESAMPLES, MOST_DRAWN = 400, 100, 4_000_000
SEED = 0


def bootstrap_intervals(
    samples_ns: NDArray[np.int64], *, items: int, gaps_ns: NDArray[np.int64] | None = None
) -> dict[str, list[float]]:
    """Return 95 % intervals of every percentile that has samples enough, in milliseconds, and of the throughput.

    Calls that follow one another resemble one another: a busy second slows them all. So blocks of calls are drawn,
    n^(1/3) long (the order of Hall, Horowitz and Jing, 1995), wrapped around at the end (the circular block bootstrap
    of Politis and Romano, 1992), 100 to 400 times from a fixed seed; the interval is between the 2.5 and 97.5 %
    quantiles.

    Args:
        samples_ns: int64 `[n]`, nanoseconds of each counted query, in the order measured.
        items: items in one query.
        gaps_ns: as in `summarise`.

    Returns:
        By name `p50` to `p99.9` and `throughput_items_per_s`: low and high. Empty with under 11 samples, p50's floor.
    """
    count = int(samples_ns.size)
    names = [name for name in PERCENTILES if count >= sample_floor(name)]
    if not names:
        return {}
    length = math.ceil(count ** (1 / 3))
    generator = np.random.default_rng(SEED)
    wrapped = np.concatenate([samples_ns, samples_ns[:length]])
    gaps = wrapped if gaps_ns is None else np.concatenate([gaps_ns, gaps_ns[:length]])
    ranks = [rank_of(name, count) for name in names]
    drawn: dict[str, list[float]] = {name: [] for name in (*names, THROUGHPUT)}
    for _ in range(min(max(MOST_DRAWN // count, LEAST_RESAMPLES), MOST_RESAMPLES)):
        starts = generator.integers(0, count, math.ceil(count / length))
        places = (starts[:, None] + np.arange(length)).reshape(-1)[:count]
        drawn[THROUGHPUT].append(items * count / (max(int(gaps[places].sum()), 1) / 1e9))
        resample = np.partition(wrapped[places], ranks)
        for name, rank in zip(names, ranks, strict=True):
            drawn[name].append(float(resample[rank]) / 1e6)
    tail = (1 - CONFIDENCE_95) / 2
    return {name: [float(value) for value in np.quantile(values, [tail, 1 - tail])] for name, values in drawn.items()}
