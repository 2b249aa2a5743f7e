"""95 % intervals: of a share that was counted, and of a mean over repetitions; standard library only."""

from __future__ import annotations

__all__ = ["spread", "t_interval", "wilson_interval"]

import math
import statistics
from collections.abc import Sequence

from toolkit.errors import DataError

# The 97.5 % point of the normal distribution: a two-sided interval of 95 %.
Z95 = 1.959963984540054
# The 97.5 % points of Student's t with 1 to 10 degrees of freedom (Abramowitz and Stegun 1964, table 26.10).
T95 = (12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139)


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """Return Wilson's score interval at 95 % (Wilson 1927, JASA 22:209).

    Raises:
        DataError: there is nothing to judge.
    """
    if count < 1 or not 0 <= correct <= count:
        raise DataError(f"no interval for {correct} right of {count}; expected at least one image")
    share, square = correct / count, Z95**2
    center = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    # Rounding must not push the interval past its own point at the edges.
    return max(0.0, min(center - half, share)), min(1.0, max(center + half, share))


def spread(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1), 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def t_interval(shares: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean of repeated shares, cut to 0 to 1.

    Raises:
        DataError: fewer than two repetitions, whose spread nobody knows.
    """
    if len(shares) < 2:
        raise DataError(f"no interval for the mean of {len(shares)} repetitions; expected at least 2")
    center = statistics.fmean(shares)
    half = _t95(len(shares) - 1) * spread(shares) / math.sqrt(len(shares))
    return max(0.0, center - half), min(1.0, center + half)


def _t95(freedom: int) -> float:
    """Return Student's 97.5 % point; past the table by Abramowitz and Stegun's expansion 26.7.5, right to 1e-4."""
    if freedom <= len(T95):
        return T95[freedom - 1]
    z = Z95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
