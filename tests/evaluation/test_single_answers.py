"""Which answers are shown, and in what order; the paired comparison of two models."""

from __future__ import annotations

import numpy as np
import pytest
from corruptions.judging import adjust_holm
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.evaluation.accuracy import PairedReport, compare_paired, judge_difference, mcnemar_p, measure_accuracy
from toolkit.evaluation.evaluate import EvaluationResult, find_mistakes, first_answers
from toolkit.plain import to_plain

NAMES = ("ant", "bee", "cat")


def result_of(labels: list[int], predicted: list[int], confidence: list[float]) -> EvaluationResult:
    truth, guess = np.array(labels), np.array(predicted)
    probabilities = np.full((len(labels), 3), 0.01, np.float32)
    probabilities[np.arange(len(labels)), guess] = confidence
    report = measure_accuracy(truth, guess, classes=3, dataset="d")
    return EvaluationResult(report=report, labels=truth, predicted=guess, probabilities=probabilities)


def test_mistakes_come_worst_first_and_equal_ones_in_order() -> None:
    result = result_of([0, 1, 2, 0, 1], [1, 1, 0, 2, 0], [0.5, 0.99, 0.75, 0.5, 0.875])
    mistakes = find_mistakes(result, NAMES)
    assert [answer.index for answer in mistakes] == [4, 2, 0, 3]
    assert to_plain(mistakes[0]) == {"index": 4, "label": "bee", "predicted": "ant", "probability": 0.875}


def test_no_mistakes_where_all_is_right() -> None:
    assert find_mistakes(result_of([0, 1], [0, 1], [0.5, 0.5]), NAMES) == ()


@pytest.mark.parametrize(("count", "shown"), [(2, 2), (10, 3)])
def test_the_first_answers_are_the_first_images(count: int, shown: int) -> None:
    first = first_answers(result_of([2, 1, 0], [2, 0, 0], [0.25, 0.5, 0.75]), NAMES, count=count)
    assert [answer.index for answer in first] == list(range(shown))
    assert (first[1].label, first[1].predicted, first[1].probability) == ("bee", "ant", 0.5)


def test_the_p_value_is_the_exact_binomial_one() -> None:
    # 2 * (C(10,0) + C(10,1) + C(10,2)) / 2^10, and 2 / 2^5.
    assert mcnemar_p(2, 8) == 2 * 56 / 1024
    assert mcnemar_p(5, 0) == 0.0625
    assert mcnemar_p(4000, 1000) < 1e-300


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_p_value_is_symmetric_and_one_where_nothing_differs(first: int, second: int) -> None:
    assert mcnemar_p(first, second) == mcnemar_p(second, first)
    assert 0 < mcnemar_p(first, second) <= 1
    assert mcnemar_p(first, first) == 1
    # One more image for the one that is ahead anyway never weakens the evidence.
    low, high = sorted((first, second))
    assert mcnemar_p(low, high + 1) <= mcnemar_p(low, high)


def test_tests_that_are_counted_together_are_adjusted_together() -> None:
    """By hand: 3 x 2/256, then 2 x 2/64, then the last, which may not fall below the one before."""
    alone = [PairedReport(count=100, only_first=first, only_second=0) for first in (6, 8, 5)]
    assert [report.verdict for report in alone] == ["better", "better", "undecided"]
    together = adjust_holm([report.p_value for report in alone])
    assert together == [2 * 2 / 64, 3 * 2 / 256, 2 / 32]
    assert [judge_difference(0.06, p_value) for p_value in together] == ["undecided", "better", "undecided"]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_adjusting_keeps_the_order_and_makes_nothing_surer(counts: list[tuple[int, int]]) -> None:
    alone = [mcnemar_p(one, other) for one, other in counts]
    values = sorted(zip(alone, adjust_holm(alone), strict=True))
    assert all(plain <= holm <= 1 for plain, holm in values)
    assert [holm for _, holm in values] == sorted(holm for _, holm in values)


def test_a_comparison_counts_what_only_one_has_right() -> None:
    first, second = np.ones(100, bool), np.ones(100, bool)
    first[:2], second[:20] = False, False
    report = compare_paired(first, second)
    assert (report.only_first, report.only_second, report.verdict) == (18, 0, "better")
    assert report.difference == pytest.approx(0.18)
    mirrored = compare_paired(second, first)
    assert (mirrored.verdict, mirrored.p_value) == ("worse", report.p_value)
    assert compare_paired(first, first).verdict == "undecided"


@pytest.mark.parametrize("counts", [(3, 4), (0, 0)])
def test_answers_that_cannot_be_paired_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="expected as many"):
        compare_paired(np.ones(counts[0], bool), np.ones(counts[1], bool))
