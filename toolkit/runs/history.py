"""The history of a run: one row an epoch, kept as CSV."""

from __future__ import annotations

__all__ = ["EpochRow", "History", "describe_divergence"]

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from toolkit.durable import write_atomic
from toolkit.errors import ModelError

# Times the loss of guessing: a network that has learnt a little and doubts too little stays below.
DIVERGED = 5
MEND = "put it back as it was, or train again"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch.

    Attributes:
        epoch: counted from 1.
        train_loss: mean loss over the epoch's images.
        train_accuracy: share of the training images labelled right while training, with dropout and augmentation on.
        validation_loss: mean cross-entropy on the validation images; None without a validation set.
        validation_accuracy: share labelled right; None without a validation set.
        learning_rate: at the end of the epoch.
        seconds: wall time of the epoch, validation included.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        return self.describe()

    def describe(self, epochs: int | None = None) -> str:
        """Return one line for people; `epochs` are those of the whole training, where they are known."""
        number = f"{self.epoch}" if epochs is None else f"{self.epoch:>{len(str(epochs))}}/{epochs}"
        parts = [f"epoch {number}", f"loss {self.train_loss:.4f}"]
        parts.append(f"train {self.train_accuracy:.2%}")
        if self.validation_accuracy is not None:
            parts.append(f"validation {self.validation_loss:.4f}, {self.validation_accuracy:.2%}")
        return "  ".join([*parts, f"{self.seconds:.1f} s"])


def describe_divergence(rows: Sequence[EpochRow], *, num_classes: int) -> list[str]:
    """Return a sentence where the last validation loss is far above ln K, that of guessing; none else.

    Args:
        rows: the history.
        num_classes: K.
    """
    loss, guessed = rows[-1].validation_loss if rows else None, math.log(max(num_classes, 2))
    if loss is None or loss < DIVERGED * guessed:
        return []
    words = (
        f"the validation loss {loss:,.1f} is far above {guessed:.1f}, that of guessing: the training diverged and the "
        "model is sure where it is wrong; train longer, or with a smaller learning_rate"
    )
    return [words]


class History:
    """Rows in order, written to disk as a whole after every epoch.

    Args:
        path: the CSV file.
        rows: what it holds already.
    """

    def __init__(self, path: Path, rows: Iterable[EpochRow] = ()) -> None:
        self._path = path
        self.rows: list[EpochRow] = list(rows)

    @classmethod
    def read(cls, path: Path, *, epochs: int) -> History:
        """Read the first `epochs` rows back, to go on after them.

        Raises:
            ModelError: the file is damaged or has fewer rows.
        """
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = [EpochRow(**_parse(row)) for row in csv.DictReader(stream)][:epochs]
        except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
            raise ModelError(f"the history {path} cannot be read: {error}; {MEND}") from error
        seen = [row.epoch for row in rows]
        if seen != list(range(1, epochs + 1)):
            raise ModelError(f"the history {path} holds the epochs {seen}; expected 1 to {epochs}: {MEND}")
        return cls(path, rows)

    @property
    def last_is_best(self) -> bool:
        """Whether the last epoch has a validation accuracy, and a higher one than every epoch before it."""
        *before, last = (row.validation_accuracy for row in self.rows)
        return last is not None and all(accuracy is None or last > accuracy for accuracy in before)

    def append(self, row: EpochRow) -> None:
        """Add a row and write the file."""
        self.rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, [item.name for item in fields(EpochRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(item) for item in self.rows)
        write_atomic(self._path, text.getvalue().encode())


def _parse(row: dict[str, str]) -> dict[str, Any]:
    return {key: int(text) if key == "epoch" else (float(text) if text else None) for key, text in row.items()}
