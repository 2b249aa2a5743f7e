"""Neighbouring rows on their way through the pipeline: pictures made ready, then answered."""

from __future__ import annotations

__all__ = ["COLUMNS", "TRUTH_COLUMN", "AnsweredBlock", "Block", "Row", "Status", "join_blocks"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Status = Literal["ok", "fallback", "error"]

# The columns of the CSV, in order; a contract.
COLUMNS = ("source", "index", "label", "probability", "margin", "doubtful", "provider", "status", "message")
# Stands after them where labels were told by the files' names.
TRUTH_COLUMN = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One answer.

    Attributes:
        source: what it comes from, as text that every terminal and every CSV reader can take.
        index: its position inside the source, from 0.
        label: name of the class; empty in an error row.
        probability: of that class, 0 to 1; None in an error row.
        margin: the runtime's own largest logit minus its second largest; None in an error row or with one class.
        doubtful: whether the message gives a reason to doubt the answer; None in an error row.
        provider: the provider that is active.
        status: `ok`, `fallback` (answered, but not by the provider asked for) or `error`.
        message: what was done to the image, or why there is no answer.
        probabilities: of every class, in the card's order; empty in an error row.
    """

    source: str
    index: int
    label: str = ""
    probability: float | None = None
    margin: float | None = None
    doubtful: bool | None = None
    provider: str
    status: Status
    message: str = ""
    probabilities: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the CSV's columns as plain JSON values."""
        return {name: getattr(self, name) for name in COLUMNS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows whose pictures are decoded and fitted.

    Attributes:
        sources: N names of what the rows come from.
        indices: int64 `[N]`, their positions inside their sources.
        images: uint8 `[M, *input shape]`.
        places: int64 `[M]`, the row of each picture, rising.
        messages: by row: what was done to its picture, or why there is none; rows without a message are left out.
    """

    sources: Sequence[str]
    indices: npt.NDArray[np.int64]
    images: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    messages: dict[int, str]

    @property
    def num_rows(self) -> int:
        """Rows: N."""
        return len(self.sources)


def join_blocks(blocks: Sequence[Block]) -> Block:
    """Return the rows of several blocks as one."""
    starts = np.cumsum([0, *(block.num_rows for block in blocks)])
    return Block(
        sources=[source for block in blocks for source in block.sources],
        indices=np.concatenate([block.indices for block in blocks]),
        images=np.concatenate([block.images for block in blocks]),
        places=np.concatenate([block.places + start for block, start in zip(blocks, starts, strict=False)]),
        messages={
            row + int(start): text
            for block, start in zip(blocks, starts, strict=False)
            for row, text in block.messages.items()
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredBlock:
    """A block's rows, answered, column by column.

    Attributes:
        sources: as in the block.
        indices: as in the block.
        labels: int64 `[N]`, the class; -1 in an error row.
        probability: float32 `[N]`, of that class; NaN in an error row.
        margin: float64 `[N]`, the runtime's own largest logit minus its second largest; NaN in an error row and with
            one class.
        doubtful: bool `[N]`, whether the message gives a reason to doubt the answer; False in an error row.
        probabilities: float32 `[N, K]`; NaN in an error row.
        messages: by row; rows without a message are left out.
        classes: K names.
        provider: the provider that is active.
        status: of an answered row.
        truths: N names of the classes that the files' names tell, "" where they tell none; empty where nobody asked.
    """

    sources: Sequence[str]
    indices: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float64]
    doubtful: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    messages: dict[int, str]
    classes: Sequence[str]
    provider: str
    status: Status
    truths: Sequence[str] = ()

    @property
    def num_rows(self) -> int:
        """Rows: N."""
        return len(self.sources)

    @property
    def num_errors(self) -> int:
        """Rows without an answer."""
        return int(np.count_nonzero(self.labels < 0))

    def rows(self, stop: int | None = None) -> Iterator[Row]:
        """Yield the first `stop` rows one by one, all by default; slower than the columns."""
        for place in range(self.num_rows if stop is None else min(stop, self.num_rows)):
            yield self.row(place)

    def row(self, place: int) -> Row:
        """Return one row."""
        common: dict[str, Any] = {
            "source": self.sources[place],
            "index": int(self.indices[place]),
            "provider": self.provider,
            "message": self.messages.get(place, ""),
        }
        label = int(self.labels[place])
        if label < 0:
            return Row(**common, status="error")
        margin = float(self.margin[place])
        return Row(
            **common,
            status=self.status,
            label=self.classes[label],
            probability=float(self.probability[place]),
            margin=None if np.isnan(margin) else margin,
            doubtful=bool(self.doubtful[place]),
            probabilities=tuple(self.probabilities[place].tolist()),
        )
