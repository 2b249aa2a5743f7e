"""95 % intervals: of a share that was counted, of a paired difference, of a mean; standard library only."""

from __future__ import annotations

__all__ = ["Z95", "paired_interval", "spread", "t_interval", "wilson_interval"]

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


def paired_interval(only_first: float, only_second: float, *, count: int) -> tuple[float, float]:
    """Return Tango's score interval at 95 % of a difference of paired shares (Tango 1998, Stat. Med. 17:891).

    Its ends are the differences that a score test just fails to reject. Unlike Wald's it is not empty where no pair
    differs: z^2 / (n + z^2) is then the upper end.

    Args:
        only_first: pairs in which only the first succeeds; a fraction where a plan is made.
        only_second: pairs in which only the second one does.
        count: all pairs.

    Raises:
        DataError: there are no pairs, or more differ than there are.
    """
    if count < 1 or min(only_first, only_second) < 0 or only_first + only_second > count:
        raise DataError(f"no interval for {only_first} and {only_second} of {count} pairs; expected at least one pair")
    share = (only_first - only_second) / count
    ends = [_reach(only_first, only_second, count=count, target=target, start=share) for target in (Z95, -Z95)]
    return ends[0], ends[1]


def _reach(only_first: float, only_second: float, *, count: int, target: float, start: float) -> float:
    """Return the difference whose score is `target`, by bisection: the score falls as the difference grows."""
    inner, outer = start, -1.0 if target > 0 else 1.0
    for _ in range(100):
        middle = (inner + outer) / 2
        is_inside = abs(_score(only_first, only_second, count=count, difference=middle)) < abs(target)
        inner, outer = (middle, outer) if is_inside else (inner, middle)
    return outer


def _score(only_first: float, only_second: float, *, count: int, difference: float) -> float:
    """Return Tango's score: how many deviations the counts lie from what this true difference would give."""
    linear = (2 * count - only_first + only_second) * difference - only_first - only_second
    constant = -only_second * difference * (1 - difference)
    # The likeliest share of the second kind under this difference.
    share = (math.sqrt(max(0.0, linear**2 - 8 * count * constant)) - linear) / (4 * count)
    variance = count * (2 * share + difference * (1 - difference))
    distance = only_first - only_second - count * difference
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0


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
