"""Rows into CSV."""

from __future__ import annotations

__all__ = ["CsvSink"]

import csv
import io
from typing import TYPE_CHECKING, BinaryIO

from toolkit.prediction.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.prediction.rows import Row


class CsvSink:
    """Writes rows as UTF-8 CSV (RFC 4180, lines end in one newline); the header goes out at once.

    Args:
        stream: binary, left open.
        classes: one column `p_<class>` for each, after the fixed ones; none where it is empty.
    """

    def __init__(self, stream: BinaryIO, *, classes: Sequence[str] = ()) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
        self._plain = csv.writer(self._text, lineterminator="\n")
        # Python's writer leaves a carriage return unquoted unless it ends lines with one; readers would split there.
        self._quoted = csv.writer(self._text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._num_classes = len(classes)
        self._plain.writerow([*COLUMNS, *(f"p_{name}" for name in classes)])

    def write(self, row: Row) -> None:
        """Write one row; float32 values stand with the 9 digits that give them back exactly."""
        fields = [
            row.source,
            row.index,
            row.label,
            _number(row.probability),
            _number(row.margin),
            row.provider,
            row.status,
            row.message,
        ]
        if self._num_classes:
            fields += [_number(value) for value in row.probabilities or (None,) * self._num_classes]
        has_return = "\r" in row.source or "\r" in row.message or "\r" in row.label
        (self._quoted if has_return else self._plain).writerow(fields)

    def finish(self) -> None:
        """Flush what is buffered and let go of the stream, which stays open."""
        self._text.flush()
        self._text.detach()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"
