"""Answers in memory: one by one, as columns, and collected from the pipeline's blocks.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["AnswerKeeper", "ImageAnswer", "Prediction"]

import io
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from toolkit.counts import count_of
from toolkit.errors import DataError
from toolkit.imaging.settings import find_doubts
from toolkit.prediction.pipeline.blocks import AnsweredBlock
from toolkit.prediction.sinks.sink import Sink
from toolkit.telling.summary import MOST_ROWS, Summarised, Summary

WHOLE = ("classes", "provider", "fallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAnswer:
    """The answer for one image.

    Attributes:
        label: name of the class; "" where there is no answer.
        class_index: its position in the classes; -1 where there is no answer.
        probability: of that class, 0 to 1; NaN where there is no answer.
        margin: largest logit minus the second largest; NaN where there is no answer, and with one class.
        doubtful: whether the answer is to be doubted.
        reason: why; "" where it is not.
        message: what was done to the image, why its answer is doubtful, why it has none; "" for nothing.
        source: what the image comes from: a file's name, `images` for an array.
        index: its position inside the source.
    """

    label: str
    class_index: int
    probability: float
    margin: float
    doubtful: bool
    reason: str
    message: str
    source: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Prediction(Summarised):
    """Answers, in the order of the images: `answers[0]` is one, `answers[2:5]` are some, and all are iterated over.

    Attributes:
        classes: the K names.
        labels: N names of classes; "" where an image has no answer.
        class_indices: int64 `[N]`, their positions in `classes`; -1 where an image has no answer.
        probability: float32 `[N]`, of the class named, 0 to 1; NaN where there is no answer.
        probabilities: float32 `[N, K]`, of every class; NaN where there is no answer.
        margin: float64 `[N]`, largest logit minus the second largest; NaN where there is no answer, and with one class.
        doubtful: bool `[N]`, whether an answer is to be doubted: the image, or what the model says of it, is unlike the
            training images; False where there is no answer.
        reasons: N texts: why an answer is doubtful; "" where it is not.
        messages: N texts: what was done to an image, why its answer is doubtful, why it has none; "" where nothing is
            to be said.
        sources: N names of what the images come from.
        indices: int64 `[N]`, their positions inside their sources.
        provider: the provider that answered.
        fallback: whether that is not the one asked for.
    """

    classes: tuple[str, ...]
    labels: tuple[str, ...]
    class_indices: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float64]
    doubtful: npt.NDArray[np.bool_]
    reasons: tuple[str, ...]
    messages: tuple[str, ...]
    sources: tuple[str, ...]
    indices: npt.NDArray[np.int64]
    provider: str
    fallback: bool

    @classmethod
    def of_blocks(cls, blocks: Sequence[AnsweredBlock], *, classes: tuple[str, ...], provider: str) -> Prediction:
        """Return the answers of blocks, one after the other; none where there is no block."""
        labels = _join([block.labels for block in blocks], np.empty(0, np.int64))
        messages = tuple(block.messages.get(row, "") for block in blocks for row in range(block.num_rows))
        doubtful = _join([block.doubtful for block in blocks], np.empty(0, np.bool_))
        return cls(
            classes=classes,
            labels=tuple(classes[label] if label >= 0 else "" for label in labels.tolist()),
            class_indices=labels,
            probability=_join([block.probability for block in blocks], np.empty(0, np.float32)),
            probabilities=_join([block.probabilities for block in blocks], np.empty((0, len(classes)), np.float32)),
            margin=_join([block.margin for block in blocks], np.empty(0, np.float64)),
            doubtful=doubtful,
            reasons=tuple(find_doubts(text) if doubtful[row] else "" for row, text in enumerate(messages)),
            messages=messages,
            sources=tuple(source for block in blocks for source in block.sources),
            indices=_join([block.indices for block in blocks], np.empty(0, np.int64)),
            provider=provider,
            fallback=any(block.status == "fallback" for block in blocks),
        )

    @property
    def num_errors(self) -> int:
        """Images without an answer."""
        return int((self.class_indices < 0).sum())

    def raise_for_errors(self) -> None:
        """Refuse answers that are not all there.

        Raises:
            DataError: an image has none; says how many and why the first has none.
        """
        if self.num_errors:
            first = int(np.flatnonzero(self.class_indices < 0)[0])
            have = "has" if self.num_errors == 1 else "have"
            raise DataError(
                f"{self.num_errors} of {count_of(len(self), 'image')} {have} no prediction; the first: "
                f"{self.messages[first]}"
            )

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)

    def __iter__(self) -> Iterator[ImageAnswer]:
        return map(self._answer, range(len(self)))

    @overload
    def __getitem__(self, place: SupportsIndex) -> ImageAnswer: ...
    @overload
    def __getitem__(self, place: slice) -> Prediction: ...
    def __getitem__(self, place: SupportsIndex | slice) -> ImageAnswer | Prediction:
        if isinstance(place, slice):
            values = {item.name: getattr(self, item.name) for item in fields(self)}
            return Prediction(**{name: value if name in WHOLE else value[place] for name, value in values.items()})
        number = operator.index(place)
        if not -len(self) <= number < len(self):
            raise IndexError(f"answer {number} of {count_of(len(self), 'answer')}")
        return self._answer(number % len(self))

    def _answer(self, row: int) -> ImageAnswer:
        return ImageAnswer(
            label=self.labels[row],
            class_index=int(self.class_indices[row]),
            probability=float(self.probability[row]),
            margin=float(self.margin[row]),
            doubtful=bool(self.doubtful[row]),
            reason=self.reasons[row],
            message=self.messages[row],
            source=self.sources[row],
            index=int(self.indices[row]),
        )

    def summarise(self) -> Summary:
        """Return how many answers there are, and the first ones."""
        rows = [
            (item.source, item.index, item.label or "no answer", f"{item.probability:.4f}", item.message)
            for item in self[:MOST_ROWS]
        ]
        doubtful, errors = int(self.doubtful.sum()), self.num_errors
        parts = [count_of(len(self), "answer"), f"by {self.provider}"]
        parts += [f"{doubtful:,} doubtful"] if doubtful else []
        parts += [f"{count_of(errors, 'image')} without one"] if errors else []
        columns = ("source", "index", "label", "probability", "message")
        return Summary(", ".join(parts), {}, rows, columns, len(self))


class AnswerKeeper(Sink):
    """Keeps the answers instead of writing them."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.blocks: list[AnsweredBlock] = []

    def write(self, answers: AnsweredBlock) -> None:
        """Keep rows."""
        self.blocks.append(answers)


def _join(parts: Sequence[npt.NDArray[Any]], none: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([none, *parts])
