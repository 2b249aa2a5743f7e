"""Rows into CSV, on a stream or in a file that appears only when it is whole."""

from __future__ import annotations

__all__ = ["CsvSink", "open_whole_file"]

import contextlib
import csv
import io
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from toolkit.errors import ResourceError
from toolkit.prediction.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


@contextmanager
def open_whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when the block ends well and its bytes are on the disk.

    Raises:
        ResourceError: the file cannot be written; no temporary file is left, `path` is as it was.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
    _sync_folder(path.parent)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder for fsync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
