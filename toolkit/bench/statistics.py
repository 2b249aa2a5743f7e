"""From samples to numbers that can be believed: percentiles with sample floors, throughput, how far each would move."""

from __future__ import annotations

__all__ = [
    "CONFIDENCE_95",
    "PERCENTILES",
    "THROUGHPUT",
    "LatencyStatistics",
    "bootstrap_intervals",
    "nearest_rank",
    "sample_floor",
    "summarise",
]

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.counts import count_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9")
CONFIDENCE = 0.99
THROUGHPUT = "throughput_items_per_s"
CONFIDENCE_95 = 0.95
# With many samples an interval is narrow, and fewer resamples find its ends well enough.
MOST_RESAMPLES, LEAST_RESAMPLES, MOST_DRAWN = 400, 100, 4_000_000
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyStatistics:
    """Statistics of one row; nothing was left out of the samples.

    Attributes:
        samples: number of counted calls.
        mean_ms: mean time of one call, in milliseconds.
        min_ms: shortest call.
        max_ms: longest call.
        percentiles_ms: `p50` to `p99.9`, nearest rank; None below the sample floor.
        missing: for each percentile that is None, why.
        throughput_items_per_s: items in all queries over the time of all gaps.
    """

    samples: int
    mean_ms: float
    min_ms: float
    max_ms: float
    percentiles_ms: dict[str, float | None]
    missing: dict[str, str]
    throughput_items_per_s: float

    def latency_json(self) -> dict[str, float | None]:
        """Return `latency_ms` of a row: mean, min, max and every percentile."""
        return {"mean": self.mean_ms, "min": self.min_ms, "max": self.max_ms, **self.percentiles_ms}


@functools.cache
def sample_floor(percentile: str, *, confidence: float = CONFIDENCE) -> int:
    """Return the fewest samples that bound a percentile from above with this confidence.

    With n samples, the number over the true percentile p follows a binomial distribution with n trials and probability
    1 - p. The floor is the least n for which one or none over it has a probability of at most 1 - confidence:
    p^n + n (1 - p) p^(n - 1). This is MLPerf's early-stopping rule with one query over the limit (LoadGen,
    early_stopping.cc): 11 for p50, 64 for p90, 130 for p95, 219 for p97, 662 for p99, 6,636 for p99.9.

    Args:
        percentile: such as `p99.9`.
        confidence: between 0 and 1.
    """
    share = float(_share(percentile))
    count = 2
    while share**count + count * (1 - share) * share ** (count - 1) > 1 - confidence:
        count += 1
    return count


def nearest_rank(ordered: NDArray[np.integer[Any]], percentile: str) -> int:
    """Return the nearest-rank percentile: the least sample that at least that share of the samples does not exceed.

    No interpolation: the answer is a time that a call really took.

    Args:
        ordered: samples `[n]` in ascending order, at least one.
        percentile: such as `p99.9`.
    """
    return int(ordered[_rank_of(percentile, len(ordered))])


def summarise(
    samples_ns: NDArray[np.int64], *, items: int, gaps_ns: NDArray[np.int64] | None = None
) -> LatencyStatistics:
    """Reduce the samples of one row.

    Args:
        samples_ns: int64 `[n]`, nanoseconds of each counted query in the order measured, at least one.
        items: items in one query.
        gaps_ns: int64 `[n]`, nanoseconds from the answer before to each; the samples themselves where one query follows
            the other.

    Raises:
        ValueError: there are no samples.
    """
    if samples_ns.size == 0:
        raise ValueError("no samples to summarise")
    ordered, count = np.sort(samples_ns), int(samples_ns.size)
    enough = {name: count >= sample_floor(name) for name in PERCENTILES}
    gaps = samples_ns if gaps_ns is None else gaps_ns
    return LatencyStatistics(
        samples=count,
        mean_ms=float(samples_ns.mean()) / 1e6,
        min_ms=int(ordered[0]) / 1e6,
        max_ms=int(ordered[-1]) / 1e6,
        percentiles_ms={name: nearest_rank(ordered, name) / 1e6 if enough[name] else None for name in PERCENTILES},
        missing={
            name: f"{count_of(count, 'sample')}; {name} needs {sample_floor(name)} for {CONFIDENCE:.0%} confidence"
            for name in PERCENTILES
            if not enough[name]
        },
        throughput_items_per_s=items * count / (max(int(gaps.sum()), 1) / 1e9),
    )


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
    # A block that begins near the end goes on at the start, so that every call is drawn as often as any other.
    wrapped = np.concatenate([samples_ns, samples_ns[:length]])
    gaps = wrapped if gaps_ns is None else np.concatenate([gaps_ns, gaps_ns[:length]])
    ranks = [_rank_of(name, count) for name in names]
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


def _rank_of(percentile: str, count: int) -> int:
    """Return the place, from 0, of the nearest-rank percentile among `count` ordered samples."""
    # A fraction, because 0.07 * 100 is over 7 in floating point and would take the wrong rank.
    return max(math.ceil(_share(percentile) * count), 1) - 1


def _share(percentile: str) -> Fraction:
    return Fraction(percentile.removeprefix("p")) / 100
