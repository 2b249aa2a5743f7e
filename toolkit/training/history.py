"""The history of a run: one row an epoch, kept as CSV."""

from __future__ import annotations

__all__ = ["EpochRow", "History"]

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from toolkit.artifacts import write_atomic


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

    def describe(self, epochs: int) -> str:
        """Return one line for people."""
        parts = [f"epoch {self.epoch:>{len(str(epochs))}}/{epochs}", f"loss {self.train_loss:.4f}"]
        parts.append(f"train {self.train_accuracy:.2%}")
        if self.validation_accuracy is not None:
            parts.append(f"validation loss {self.validation_loss:.4f}, accuracy {self.validation_accuracy:.2%}")
        return "  ".join([*parts, f"{self.seconds:.1f} s"])


class History:
    """Rows in order, written to disk as a whole after every epoch.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[EpochRow] = []

    def append(self, row: EpochRow) -> None:
        """Add a row and write the file."""
        self.rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, [item.name for item in fields(EpochRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(item) for item in self.rows)
        write_atomic(self._path, text.getvalue().encode())
