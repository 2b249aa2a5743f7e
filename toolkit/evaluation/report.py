"""What an evaluation found: the figures, every answer, and how another model does on the same images.

Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["EvaluationReport", "Rival"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.evaluation.accuracy import AccuracyReport, PairedReport
from toolkit.evaluation.evaluate import Answer, EvaluationResult, find_mistakes, first_answers
from toolkit.plain import to_plain
from toolkit.telling.summary import Summarised, Summary, number_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another model on the same images.

    Attributes:
        title: `run NAME` or `model NAME`.
        identity: what a report records about it.
        figures: its accuracy.
        paired: how the two differ, image by image.
    """

    title: str
    identity: Mapping[str, Any]
    figures: AccuracyReport
    paired: PairedReport

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**self.identity, **self.figures.figures(), **self.paired.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class EvaluationReport(Summarised):
    """How a run or a model file answers labelled images.

    Attributes:
        kind: `run` or `model`.
        name: what it is called.
        identity: what the report records about it: its path and hash, or its run and checkpoint.
        classes: its class names.
        result: every answer: `labels`, `predicted`, `probabilities`.
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`, as the model took them.
        notes: every remark on the way: what was left out, and what was done to the images.
        against: another model on the same images; None where none was asked for.
        is_test: whether the images are the test split of a data set.
        is_own: whether that is the data set that the model was made with.
        command: what repeats it.
        environment: the machine, as `describe_environment` tells.
    """

    kind: str
    name: str
    identity: Mapping[str, Any]
    classes: tuple[str, ...]
    result: EvaluationResult
    images: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    against: Rival | None = None
    is_test: bool = True
    is_own: bool = True
    command: str
    environment: Mapping[str, Any]

    @property
    def figures(self) -> AccuracyReport:
        """Accuracy and confusion matrix."""
        return self.result.report

    @property
    def accuracy(self) -> float:
        """Share labelled right, 0 to 1."""
        return self.figures.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return self.figures.interval

    @property
    def count(self) -> int:
        """Images judged: N."""
        return self.figures.count

    @property
    def correct(self) -> int:
        """Images labelled right."""
        return self.figures.correct

    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """`[true class][predicted class]` counts."""
        return self.figures.confusion

    @property
    def mistakes(self) -> tuple[Answer, ...]:
        """Every wrong answer, the surest first; `index` is the image's place in `images`."""
        return find_mistakes(self.result, self.classes)

    @property
    def first(self) -> tuple[Answer, ...]:
        """The answers on the first images, at most ten."""
        return first_answers(self.result, self.classes)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/evaluation/1`.

        Keys:
            dataset: name of the data set.
            count: images judged.
            correct: images labelled right.
            accuracy: share labelled right, 0 to 1.
            accuracy_ci95: Wilson's 95 % interval of it, `[low, high]`.
            confusion: `[true class][predicted class]` counts.
            model: of a file its `path` and `sha256`.
            provider: of a file where it ran.
            run: of a run its folder.
            checkpoint: of a run which of its checkpoints.
            against: with `--against` the other's figures, and how the two differ on the same images.
            first: the answers to the first images.
            pictures: where drawings of it lie, by what they show; the library draws none.
        """
        return {
            **self.figures.to_json(),
            **self.identity,
            "notes": list(self.notes),
            **({} if self.against is None else {"against": self.against.to_json()}),
            "pictures": {},
            "first": to_plain(self.first),
            "mistakes": to_plain(self.mistakes),
            "command": self.command,
            "environment": self.environment,
        }

    def summarise(self) -> Summary:
        """Return the accuracy with its interval, and the most frequent confusions."""
        pairs = self.figures.top_confusions(3)
        facts: dict[str, object] = {"data": self.figures.dataset}
        if pairs:
            words = [f"{self.classes[true]} as {self.classes[seen]} ({count:,})" for true, seen, count in pairs]
            facts["most confused"] = ", ".join(words)
        if self.against is not None:
            paired = self.against.paired
            facts["against"] = (
                f"{self.against.title}: {self.against.figures.describe()}; {100 * paired.difference:+.2f} points, "
                f"p = {paired.p_value:.2g}: {paired.verdict}"
            )
        facts |= number_facts("note", self.notes)
        right = f"{'test accuracy' if self.is_test else 'accuracy'} {self.figures.describe()}"
        wrong = count_of(self.count - self.correct, "mistake")
        return Summary(f"{self.kind} {self.name}: {right}, {wrong}", facts)
