"""How many labels are right, with an interval and the confusion matrix; and whether one of two models is better.

Shapes: N images.
"""

from __future__ import annotations

__all__ = [
    "AccuracyReport",
    "PairedReport",
    "compare_paired",
    "judge_difference",
    "mcnemar_p",
    "measure_accuracy",
]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.errors import DataError
from toolkit.intervals import paired_interval, wilson_interval

SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyReport:
    """How many labels were right.

    Attributes:
        dataset: name of the data set.
        count: images judged.
        correct: images labelled right.
        confusion: `[true class][predicted class]` counts.
    """

    dataset: str
    count: int
    correct: int
    confusion: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float:
        """Share labelled right, 0 to 1."""
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.count)

    def figures(self) -> dict[str, Any]:
        """Return the figures alone, as plain JSON values."""
        return {
            "count": self.count,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.interval),
        }

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/evaluation/1`, the figures of it."""
        return {
            "schema": "toolkit/evaluation/1",
            "dataset": self.dataset,
            **self.figures(),
            "confusion": [list(row) for row in self.confusion],
        }

    def top_confusions(self, count: int) -> list[tuple[int, int, int]]:
        """Return the most frequent confusions, at most `count`: true class, predicted class, images."""
        errors = np.array(self.confusion)
        # What is right is no confusion.
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind="stable")[:count]
        pairs = [divmod(int(place), len(errors)) for place in order]
        return [
            (label, predicted, int(errors[label, predicted])) for label, predicted in pairs if errors[label, predicted]
        ]

    def describe_chance(self, classes: Sequence[str]) -> list[str]:
        """Return a sentence where the images judged cannot tell the answers from always naming the largest class.

        There is none where the interval lies above that class's share.

        Args:
            classes: class names.
        """
        counts = [sum(row) for row in self.confusion]
        most = max(counts)
        if self.interval[0] > most / self.count:
            return []
        words = (
            f"{self.correct:,} of {self.count:,} right is no better than always answering "
            f"{classes[counts.index(most)]!r} ({most:,} of {self.count:,}), as far as "
            f"{count_of(self.count, 'test image')} can "
            "tell; give it more images, train longer, and look at the labels"
        )
        return [words]

    def describe(self) -> str:
        """Return e.g. `99.51 % (95 % interval 99.35 to 99.63, 9,951 of 10,000)`."""
        low, high = self.interval
        return (
            f"{100 * self.accuracy:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f}, "
            f"{self.correct:,} of {self.count:,})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedReport:
    """How two models differ, image by image.

    Attributes:
        count: images.
        only_first: images that only the first model labels right.
        only_second: images that only the second one labels right.
    """

    count: int
    only_first: int
    only_second: int

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference (Tango 1998)."""
        return paired_interval(self.only_first, self.only_second, count=self.count)

    @property
    def p_value(self) -> float:
        """Probability of a difference at least as large where both are equally good."""
        return mcnemar_p(self.only_first, self.only_second)

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `undecided`: the first model's standing."""
        return judge_difference(self.difference, self.p_value)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "only_this": self.only_first,
            "only_against": self.only_second,
            "difference": self.difference,
            "p_value": self.p_value,
            "verdict": self.verdict,
        }


def measure_accuracy(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], *, classes: int, dataset: str
) -> AccuracyReport:
    """Compare predicted labels with true ones.

    Args:
        labels: int64 `[N]`, true classes.
        predicted: int64 `[N]`, predicted classes.
        classes: number of classes.
        dataset: name for the report.

    Raises:
        DataError: the counts differ or there are no images.
    """
    if labels.shape != predicted.shape or not len(labels):
        raise DataError(
            f"{count_of(len(predicted), 'prediction')} for {count_of(len(labels), 'label')}; expected as many, at "
            "least one"
        )
    # Every pair of classes as one number, so that one pass counts them all.
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    return AccuracyReport(
        dataset=dataset,
        count=len(labels),
        correct=int(np.trace(confusion)),
        confusion=tuple(tuple(int(item) for item in row) for row in confusion),
    )


def compare_paired(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> PairedReport:
    """Compare two models by which of the same images each labels right.

    Args:
        first_right: bool `[N]`.
        second_right: bool `[N]`.

    Raises:
        DataError: the counts differ or there are no images.
    """
    if first_right.shape != second_right.shape or not len(first_right):
        raise DataError(f"{len(first_right)} answers against {len(second_right)}; expected as many, at least one")
    return PairedReport(
        count=len(first_right),
        only_first=int((first_right & ~second_right).sum()),
        only_second=int((second_right & ~first_right).sum()),
    )


def judge_difference(difference: float, p_value: float) -> str:
    """Return `better` or `worse` where p < 0.05, as the difference's sign says, else `undecided`."""
    if p_value >= SIGNIFICANCE:
        return "undecided"
    return "better" if difference > 0 else "worse"


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (McNemar 1947, Psychometrika 12:153).

    Where both models are equally good, an image that only one of them labels right is the first one's or the second
    one's with probability 1/2 each: a binomial test, in whole numbers, so that nothing is rounded before the end.
    """
    discordant = only_first + only_second
    term = tail = 1
    for drawn in range(1, min(only_first, only_second) + 1):
        term = term * (discordant - drawn + 1) // drawn
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))
