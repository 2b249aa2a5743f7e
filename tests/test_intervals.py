"""Intervals over repetitions; Wilson's are tested with the evaluation that they began in."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.intervals import t_interval


@pytest.mark.parametrize(
    ("count", "quantile"),
    [(2, 12.7062), (3, 4.3027), (6, 2.5706), (11, 2.2281), (12, 2.2010), (31, 2.0423), (121, 1.9799)],
)
def test_the_interval_is_students(count: int, quantile: float) -> None:
    # Half the shares lie above the mean and half below: the deviation is known. Quantiles from any table.
    shares = [0.5 + 0.001 * (-1) ** index for index in range(count)]
    low, high = t_interval(shares)
    half = quantile * statistics.stdev(shares) / count**0.5
    assert (high - low) / 2 == pytest.approx(half, rel=1e-4)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_interval_holds_the_mean_and_stays_inside(shares: list[float]) -> None:
    low, high = t_interval(shares)
    assert 0 <= low <= statistics.fmean(shares) + 1e-12
    assert statistics.fmean(shares) - 1e-12 <= high <= 1


def test_one_repetition_has_no_spread_and_no_interval() -> None:
    with pytest.raises(DataError, match="at least 2"):
        t_interval([0.5])
