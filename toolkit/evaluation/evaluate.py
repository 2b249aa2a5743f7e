"""A run or a model file judged on a data set's test images.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = [
    "EvaluationResult",
    "evaluate",
    "evaluate_model",
    "evaluate_run",
    "evaluate_test_images",
    "require_fit",
    "require_same_data",
]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.dataset import Dataset, Split
from toolkit.errors import DataError
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.evaluation.judge import Judge, ModelJudge, RunJudge
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.source import ModelSource


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationResult:
    """Every answer on a set of images, and the figures.

    Attributes:
        report: accuracy and confusion matrix.
        labels: int64 `[N]`, true classes.
        predicted: int64 `[N]`, the model's own labels.
        probabilities: float32 `[N, K]`.
    """

    report: AccuracyReport
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Bool `[N]`: which images are labelled right."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right


def require_same_data(data: Dataset, recorded: dict[str, Any], *, owner: str) -> None:
    """Check that a data set is the one that a run or a card was made with.

    Raises:
        DataError: the hashes differ.
    """
    if data.sha256 != recorded["sha256"]:
        raise DataError(
            f"{owner} was made with {recorded['name']} of SHA-256 {recorded['sha256'][:12]}..., but {data.name} has "
            f"{data.sha256[:12]}...; name the same data with --data"
        )


def evaluate(judge: Judge, split: Split, *, dataset: str) -> EvaluationResult:
    """Judge an opened model on images.

    Args:
        judge: the opened model.
        split: images of the model's own shape with their labels.
        dataset: name for the report.

    Raises:
        ModelError: an answer is not finite or names no class.
    """
    answers = judge.answer(split.images)
    return EvaluationResult(
        report=measure_accuracy(split.labels, answers.labels, classes=len(judge.classes), dataset=dataset),
        labels=split.labels,
        predicted=answers.labels,
        probabilities=answers.probabilities,
    )


def evaluate_run(run: Path, data: Dataset) -> EvaluationResult:
    """Judge a run's last checkpoint, or one checkpoint of it, with PyTorch, in float32 on the CPU.

    Raises:
        ModelError: the run or its checkpoint cannot be used.
        DataError: the images do not fit the network.
    """
    with RunJudge(run) as judge:
        return evaluate_test_images(judge, data)


def evaluate_model(source: ModelSource, data: Dataset, *, settings: RuntimeSettings) -> EvaluationResult:
    """Judge a model file with a runtime in its own process, by its own output `label`.

    Raises:
        ModelError: the file cannot be used.
        DataError: the images do not fit the model.
        ProviderError: the provider asked for is not active.
    """
    with ModelJudge(source, settings) as judge:
        return evaluate_test_images(judge, data)


def evaluate_test_images(judge: Judge, data: Dataset) -> EvaluationResult:
    """Judge an opened model on a data set's test images.

    Raises:
        DataError: the images or the number of classes do not fit the model.
        ModelError: an answer is not finite or names no class.
    """
    require_fit(judge, data)
    return evaluate(judge, data.test, dataset=data.name)


def require_fit(judge: Judge, data: Dataset) -> None:
    """Check that a data set has images of a model's shape and as many classes.

    Raises:
        DataError: it has not.
    """
    if data.test.images.shape[1:] != judge.input.shape or len(data.classes) != len(judge.classes):
        raise DataError(
            f"{data.name} has images of {list(data.test.images.shape[1:])} in {len(data.classes)} classes; "
            f"the model takes {list(judge.input.shape)} and knows {len(judge.classes)}"
        )
