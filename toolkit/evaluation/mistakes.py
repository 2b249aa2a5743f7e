"""Single answers worth looking at: the mistakes, worst first, and the first images of a set."""

from __future__ import annotations

__all__ = ["Answer", "find_mistakes", "first_answers"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.evaluation.evaluate import EvaluationResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said of one image.

    Attributes:
        index: number of the image in its split.
        label: name of the true class.
        predicted: name of the predicted class.
        probability: of the predicted class, 0 to 1.
    """

    index: int
    label: str
    predicted: str
    probability: float


def find_mistakes(result: EvaluationResult, classes: Sequence[str]) -> tuple[Answer, ...]:
    """Return every wrong answer, the one with the highest probability first, equal ones in the images' order."""
    wrong = np.flatnonzero(~result.is_right)
    confidence = result.probabilities[wrong, result.predicted[wrong]]
    return _describe(result, wrong[np.argsort(-confidence, kind="stable")], classes=classes)


def first_answers(result: EvaluationResult, classes: Sequence[str], *, count: int = 10) -> tuple[Answer, ...]:
    """Return the answers on the first images, fewer where there are fewer."""
    return _describe(result, range(min(count, len(result.labels))), classes=classes)


def _describe(result: EvaluationResult, indices: Iterable[int], *, classes: Sequence[str]) -> tuple[Answer, ...]:
    return tuple(
        Answer(
            index=int(index),
            label=classes[result.labels[index]],
            predicted=classes[result.predicted[index]],
            probability=float(result.probabilities[index, result.predicted[index]]),
        )
        for index in indices
    )
