"""A run or a model file judged on pictures: every answer, the figures, the answers worth looking at.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = [
    "Answer",
    "EvaluatedPictures",
    "EvaluationResult",
    "SuitedImages",
    "evaluate",
    "evaluate_pictures",
    "evaluate_run",
    "evaluate_test_images",
    "find_mistakes",
    "first_answers",
    "suit_images",
]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.data.dataset import Dataset, Split
from toolkit.data.labels import list_names, match_classes
from toolkit.data.pictures import LabelledPictures
from toolkit.evaluation.accuracy import AccuracyReport, PairedReport, compare_paired, measure_accuracy
from toolkit.evaluation.candidate import Candidate, RunCandidate
from toolkit.progress import ShowProgress, tell_nobody


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuitedImages:
    """Pictures as one model takes them, with its own numbers for their classes.

    Attributes:
        split: uint8 images of the model's shape; labels are indices into the model's classes.
        notes: one sentence each about what was done to get there.
    """

    split: Split
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluatedPictures:
    """A candidate judged on pictures, and its rival on the same ones where it has one.

    Attributes:
        result: the candidate's.
        images: the pictures as the candidate takes them.
        rival: the rival's; None without one.
        paired: how the two differ; None without a rival.
    """

    result: EvaluationResult
    images: SuitedImages
    rival: EvaluationResult | None = None
    paired: PairedReport | None = None


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


def evaluate_pictures(
    candidate: Candidate,
    pictures: LabelledPictures,
    *,
    rival: Candidate | None = None,
    progress: ShowProgress = tell_nobody,
) -> EvaluatedPictures:
    """Judge an opened model on pictures, and another one on the same.

    Args:
        candidate: the opened model.
        pictures: of any of its classes.
        rival: another opened model.
        progress: called with (pictures done, pictures in all) where they are files.

    Raises:
        DataError: classes that a model does not know, or a picture that cannot be used.
        ModelError: an answer is not finite or names no class.
    """
    images = suit_images(candidate, pictures, progress=progress)
    result = evaluate(candidate, images.split, dataset=pictures.name)
    if rival is None:
        return EvaluatedPictures(result=result, images=images)
    # With the candidate's names, should the pictures have none: the rival may have another order.
    named = replace(pictures, labels=images.split.labels, classes=candidate.classes, has_names=True)
    other = evaluate(rival, suit_images(rival, named, progress=progress).split, dataset=pictures.name)
    paired = compare_paired(result.is_right, other.is_right)
    return EvaluatedPictures(result=result, images=images, rival=other, paired=paired)


def suit_images(
    candidate: Candidate, pictures: LabelledPictures, *, progress: ShowProgress = tell_nobody
) -> SuitedImages:
    """Bring pictures to a model's input as a prediction does, and match their classes with the model's by name.

    Args:
        candidate: the opened model.
        pictures: of any of its classes.
        progress: called with (pictures done, pictures in all) where they are files.

    Raises:
        DataError: classes that the model does not know (they are listed), or a picture that cannot be used.
    """
    notes: list[str] = []
    places = match_classes(
        pictures.classes,
        candidate.classes,
        owner=pictures.name,
        knower=candidate.title,
        used=pictures.labels,
        are_numbers=not pictures.has_names,
        on_note=notes.append,
    )
    images, changes = pictures.prepare(candidate.input, progress=progress)
    labels = places[pictures.labels]
    missing = [candidate.classes[place] for place in sorted(set(range(len(candidate.classes))) - set(labels.tolist()))]
    if missing:
        notes.append(f"{pictures.name} has no images of {len(missing)} of the model's classes: {list_names(missing)}")
    if changes:
        notes.append(
            f"brought to the model's input: {len(changes):,} of {count_of(len(labels), 'image')}, the first: "
            f"{changes[0]}"
        )
    return SuitedImages(split=Split(images=images, labels=labels), notes=tuple(notes))


def evaluate(candidate: Candidate, split: Split, *, dataset: str) -> EvaluationResult:
    """Judge an opened model on images.

    Args:
        candidate: the opened model.
        split: images of the model's own shape with their labels.
        dataset: name for the report.

    Raises:
        ModelError: an answer is not finite or names no class.
    """
    answers = candidate.answer(split.images)
    return EvaluationResult(
        report=measure_accuracy(split.labels, answers.labels, classes=len(candidate.classes), dataset=dataset),
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
    with RunCandidate(run) as candidate:
        return evaluate_test_images(candidate, data)


def evaluate_test_images(candidate: Candidate, data: Dataset) -> EvaluationResult:
    """Judge an opened model on a data set's test images.

    Raises:
        DataError: the images or the classes do not fit the model.
        ModelError: an answer is not finite or names no class.
    """
    return evaluate(candidate, suit_images(candidate, LabelledPictures.of_test(data)).split, dataset=data.name)


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
