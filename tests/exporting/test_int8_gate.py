"""The gate of an int8 file, and the interval that it rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.errors import DataError
from toolkit.exporting import int8_gate
from toolkit.exporting.int8_gate import LEAST_TEST_IMAGES, MOST_LOSS, Int8Gate, count_needed
from toolkit.intervals import Z95, paired_interval


def labels_of(count: int, *, lost: int = 0, won: int = 0, both_wrong: int = 0) -> tuple[np.ndarray, ...]:
    """Return true labels and those of two files: `lost` only float32 labels right, `won` only int8."""
    truth = np.zeros(count, np.int64)
    fp32, int8 = truth.copy(), truth.copy()
    int8[:lost] = 1
    fp32[lost : lost + won] = 1
    fp32[lost + won : lost + won + both_wrong], int8[lost + won : lost + won + both_wrong] = 1, 2
    return truth, fp32, int8


def judge_int8(*labels: np.ndarray, max_logit_error: float = 0.05) -> Int8Gate:
    truth, fp32, int8 = labels
    return int8_gate.judge_int8(truth, fp32=fp32, int8=int8, max_logit_error=max_logit_error, bound=0.6)


def score_by_search(lost: int, won: int, count: int, difference: float) -> float:
    """Return Tango's score with the likelihood maximised by trying every value instead of by the formula."""
    second = np.linspace(1e-9, (1 - difference) / 2 - 1e-9, 400_001)
    first = second + difference
    keep = first > 0
    second, first = second[keep], first[keep]
    rest = np.maximum(1 - first - second, 1e-300)
    likelihood = lost * np.log(first) + won * np.log(second) + (count - lost - won) * np.log(rest)
    best = second[likelihood.argmax()]
    deviation = math.sqrt(count * (2 * best + difference * (1 - difference)))
    return (lost - won - count * difference) / deviation


@pytest.mark.parametrize(("lost", "won", "count"), [(12, 2, 50), (3, 9, 200), (6, 6, 80)])
def test_the_interval_ends_where_a_score_test_just_fails_to_reject(lost: int, won: int, count: int) -> None:
    low, high = paired_interval(lost, won, count=count)
    assert score_by_search(lost, won, count, low) == pytest.approx(Z95, abs=2e-3)
    assert score_by_search(lost, won, count, high) == pytest.approx(-Z95, abs=2e-3)


def test_the_interval_turns_with_its_arguments_and_is_not_empty_without_differences() -> None:
    assert paired_interval(3, 8, count=500) == pytest.approx(
        [-end for end in reversed(paired_interval(8, 3, count=500))]
    )
    assert paired_interval(0, 0, count=10_000)[1] == pytest.approx(Z95**2 / (10_000 + Z95**2))
    with pytest.raises(DataError):
        paired_interval(3, 3, count=5)


@pytest.mark.parametrize(("lost", "won"), [(10.0, 8.0), (15.0, 0.0), (20.0, 5.0), (3.0, 2.0)])
def test_the_upper_end_misses_the_truth_in_no_more_than_one_case_of_forty(lost: float, won: float) -> None:
    def weight(seen: int, mean: float) -> float:
        return math.exp(-mean) * mean**seen / math.factorial(seen)

    missed = sum(
        weight(first, lost) * weight(second, won)
        for first in range(46)
        for second in range(26)
        if paired_interval(first, second, count=10_000)[1] < (lost - won) / 10_000
    )
    assert missed <= 0.025


def test_the_gate_holds_where_little_is_lost() -> None:
    gate = judge_int8(*labels_of(10_000, lost=5, won=3, both_wrong=4))
    assert gate.failures == ()
    assert (gate.pairs.difference, gate.agreement) == (pytest.approx(0.0002), pytest.approx(0.9988))


def test_a_loss_that_may_exceed_the_limit_is_refused_with_the_images_that_would_settle_it() -> None:
    gate = judge_int8(*labels_of(10_000, lost=13, won=2))
    assert gate.pairs.difference < MOST_LOSS < gate.pairs.interval[1]
    (failure,) = gate.failures
    needed = count_needed(0.0013, 0.0002)
    assert needed is not None
    assert failure.endswith(f"the limit is 0.15; at this rate {needed:,} test images would show that it holds")


def test_a_loss_over_the_limit_is_refused_whatever_the_number_of_images() -> None:
    (failure,) = judge_int8(*labels_of(10_000, lost=18)).failures
    assert "would show" not in failure
    assert count_needed(0.0018, 0.0) is None


def test_labels_that_change_without_changing_the_accuracy_are_refused() -> None:
    (failure,) = judge_int8(*labels_of(10_000, both_wrong=21)).failures
    assert failure == "its labels agree with float32 on 99.79 % (9,979 of 10,000); the least is 99.8 %"


def test_the_least_count_is_where_a_perfect_file_just_passes() -> None:
    assert judge_int8(*labels_of(LEAST_TEST_IMAGES)).failures == ()
    assert judge_int8(*labels_of(LEAST_TEST_IMAGES - 1)).failures


def test_what_is_needed_passes_and_one_less_does_not() -> None:
    needed = count_needed(0.001, 0.0008)
    assert needed is not None
    assert paired_interval(0.001 * needed, 0.0008 * needed, count=needed)[1] <= MOST_LOSS
    less = needed - 1
    assert paired_interval(0.001 * less, 0.0008 * less, count=less)[1] > MOST_LOSS


@pytest.mark.parametrize("error", [0.601, math.nan])
def test_logits_of_test_images_outside_the_bound_are_refused(error: float) -> None:
    """The bound was looked up on images that the run may have been trained on: here it meets others."""
    (failure,) = judge_int8(*labels_of(10_000), max_logit_error=error).failures
    assert failure == f"its logits differ from float32's by up to {error:.3g} on the test images; its bound is 0.6"
    assert judge_int8(*labels_of(10_000), max_logit_error=0.6).failures == ()
