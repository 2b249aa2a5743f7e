"""Accuracy with its interval and the confusion matrix."""

from __future__ import annotations

__all__ = ["AccuracyReport", "measure_accuracy", "wilson_interval"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError
from toolkit.intervals import wilson_interval


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
        """Return schema `toolkit/evaluation/1`."""
        return {
            "schema": "toolkit/evaluation/1",
            "dataset": self.dataset,
            **self.figures(),
            "confusion": [list(row) for row in self.confusion],
        }

    def top_confusions(self, count: int) -> list[tuple[int, int, int]]:
        """Return the most frequent confusions, at most `count`: true class, predicted class, images."""
        errors = np.array(self.confusion)
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
            f"{classes[counts.index(most)]!r} ({most:,} of {self.count:,}), as far as {self.count:,} test images can "
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
        raise DataError(f"{len(predicted)} predictions for {len(labels)} labels; expected as many, at least one")
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    return AccuracyReport(
        dataset=dataset,
        count=len(labels),
        correct=int(np.trace(confusion)),
        confusion=tuple(tuple(int(item) for item in row) for row in confusion),
    )
