"""Percentiles that can be believed: floors from MLPerf's rule, nearest ranks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bench.statistics import PERCENTILES, nearest_rank, sample_floor, summarise

# FACTS: fewest samples at 99 % confidence, from LoadGen's early-stopping rule.
FLOORS = {"p50": 11, "p90": 64, "p95": 130, "p97": 219, "p99": 662, "p99.9": 6_636}
SAMPLES = st.lists(st.integers(1, 10**12), min_size=1, max_size=800).map(lambda values: np.array(values, np.int64))


def _chance_of_at_most_one_over(percentile: str, count: int) -> Fraction:
    """Exact binomial tail: the chance that at most one of `count` samples lies over the true percentile."""
    under = Fraction(percentile.removeprefix("p")) / 100
    return sum((math.comb(count, k) * (1 - under) ** k * under ** (count - k) for k in (0, 1)), Fraction(0))


@pytest.mark.parametrize("percentile", FLOORS)
def test_sample_floors_are_mlperfs(percentile: str) -> None:
    assert sample_floor(percentile) == FLOORS[percentile]


@pytest.mark.parametrize("percentile", ["p50", "p90", "p95", "p97", "p99"])
def test_sample_floor_is_the_least_count_with_99_percent_confidence(percentile: str) -> None:
    floor = sample_floor(percentile)
    assert _chance_of_at_most_one_over(percentile, floor) <= Fraction(1, 100)
    assert _chance_of_at_most_one_over(percentile, floor - 1) > Fraction(1, 100)


@given(st.integers(1, 999), st.floats(0.5, 0.999))
def test_more_confidence_or_a_rarer_percentile_never_needs_fewer_samples(tenths: int, confidence: float) -> None:
    name, rarer = f"p{tenths / 10}", f"p{min(tenths + 1, 999) / 10}"
    assert sample_floor(rarer, confidence=confidence) >= sample_floor(name, confidence=confidence)
    assert sample_floor(name, confidence=0.999) >= sample_floor(name, confidence=confidence)


@given(SAMPLES, st.sampled_from(PERCENTILES))
def test_nearest_rank_is_the_least_sample_that_covers_its_share(samples: np.ndarray, percentile: str) -> None:
    ordered = np.sort(samples)
    value, share = nearest_rank(ordered, percentile), Fraction(percentile.removeprefix("p")) / 100
    assert value in samples
    assert Fraction(int((samples <= value).sum()), samples.size) >= share
    assert Fraction(int((samples < value).sum()), samples.size) < share


@pytest.mark.parametrize(
    ("percentile", "count", "rank"),
    [("p50", 11, 6), ("p50", 12, 6), ("p90", 64, 58), ("p99", 700, 693), ("p99.9", 7000, 6993)],
)
def test_nearest_rank_takes_the_documented_place(percentile: str, count: int, rank: int) -> None:
    assert nearest_rank(np.arange(1, count + 1), percentile) == rank


@given(SAMPLES, st.integers(1, 512))
def test_summary_obeys_the_laws_of_its_numbers(samples: np.ndarray, batch: int) -> None:
    summary = summarise(samples, items=batch)
    known = [value for value in summary.percentiles_ms.values() if value is not None]
    assert known == sorted(known)
    assert all(summary.min_ms <= value <= summary.max_ms for value in known)
    assert summary.min_ms <= summary.mean_ms * (1 + 1e-12)
    assert summary.mean_ms <= summary.max_ms * (1 + 1e-12)
    assert summary.throughput_items_per_s * summary.mean_ms == pytest.approx(batch * 1000)


@given(SAMPLES)
def test_percentile_is_null_with_a_reason_exactly_below_its_floor(samples: np.ndarray) -> None:
    summary = summarise(samples, items=1)
    for name, value in summary.percentiles_ms.items():
        assert (value is None) == (samples.size < FLOORS[name]) == (name in summary.missing)
    for name, reason in summary.missing.items():
        counted = "1 sample" if samples.size == 1 else f"{samples.size} samples"
        assert reason == f"{counted}; {name} needs {FLOORS[name]} for 99% confidence"


@pytest.mark.parametrize("name", PERCENTILES)
def test_percentile_appears_at_its_floor_and_not_one_sample_before(name: str) -> None:
    enough = np.arange(1, FLOORS[name] + 1)
    assert summarise(enough, items=1).percentiles_ms[name] is not None
    assert summarise(enough[1:], items=1).percentiles_ms[name] is None


def test_outlier_stays_in_the_numbers() -> None:
    samples = np.full(662, 1_000_000)
    samples[5] = 900_000_000
    summary = summarise(samples, items=2)
    assert summary.samples == 662
    assert summary.max_ms == 900
    assert summary.mean_ms == pytest.approx((661 + 900) / 662)
    assert summary.throughput_items_per_s == pytest.approx(2 * 662 / 1.561)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarise(np.array([], np.int64), items=1)
