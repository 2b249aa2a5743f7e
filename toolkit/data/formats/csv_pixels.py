"""Tables of pixels, as Kaggle gives them: a picture a row, its label and its grey values in columns.

NumPy's reader parses them, in pieces: 60,000 rows of 784 pixels take a second or two.
"""

from __future__ import annotations

__all__ = ["CSV_PATTERN", "load_csv"]

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.containers.unpacked import UnpackBudget, open_unpacked
from toolkit.counts import count_of
from toolkit.data.dataset import Split
from toolkit.data.formats.idx import MAX_BODY_BYTES
from toolkit.data.formats.tree import PictureStore
from toolkit.data.gathered import GatheredPictures, join_parts
from toolkit.data.labels import name_labels
from toolkit.errors import DataError
from toolkit.imaging.pixel_values import refuse_unit_scale
from toolkit.progress import OnNote

CSV_PATTERN = r"ROLE\.csv(?:\.gz)?"
LABEL_NAMES = ("label", "class", "target", "y", "digit")
# Numbers of rows that pandas and others write beside the data.
IGNORED_NAMES = ("", "id", "index", "unnamed: 0")
DELIMITERS = ",;\t"
PIECE_BYTES = 8 << 20
# A picture of 128x128 has a line of 64 KiB.
MAX_LINE_CHARACTERS = 1 << 20
NO_LABEL = -1


class _Columns(NamedTuple):
    """What the columns of a table are.

    Attributes:
        delimiter: between cells.
        names: of all columns; None without a header.
        label: the labels' column.
        pixels: the pixels' columns.
        num_cells: of all columns.
        side: rows and columns of a picture.
    """

    delimiter: str
    names: list[str] | None
    label: int
    pixels: list[int]
    num_cells: int
    side: int

    def name_cell(self, row: int, column: int) -> str:
        """Return where a cell is; both numbers from 1, the header not counted."""
        below = " below the header" if self.names else ""
        name = f" ({self.names[column - 1]})" if self.names and column <= len(self.names) else ""
        return f"row {row}{below}, column {column}{name}"


def load_csv(
    parts: Mapping[str, int], *, store: PictureStore, name: str, on_note: OnNote = lambda _: None
) -> GatheredPictures:
    """Load tables of pixels, plain or packed.

    A table has a header with a column of labels (`label`, `class`, `target`, `y`, `digit`), or no header and the label
    first. All other columns are grey values, whole numbers from 0 to 255, as many as a square has.

    Args:
        parts: places of the tables by role: `train`, and `validation` and `test` where they are.
        store: where they lie.
        name: the data set's.
        on_note: called with a sentence about what was left out.

    Raises:
        DataError: a table is none of pixels, has no labels, or a cell that is none; it is named.
    """
    numbers: dict[str, int] = {}
    read: dict[str, Split] = {}
    for role, place in parts.items():
        title = store.title(place)
        with store.open(place) as stream, _as_text(stream, title) as text:
            split = _read_table(text, title, numbers=numbers, needs_labels=role == "train", on_note=on_note)
        if split is not None:
            read[role] = split
        elif role == "test":
            on_note(
                f"{title} has no column of labels, so nothing can be judged by it: it is left out; to label it, "
                "save its pixels as an .npy array [count, height, width] and give that to toolkit predict"
            )
    named = name_labels({role: split.labels for role, split in read.items()}, list(numbers), name=name, on_note=on_note)
    return join_parts({role: split.images for role, split in read.items()}, named, name=name, on_note=on_note)


def _as_text(stream: BinaryIO, title: str) -> io.TextIOWrapper:
    budget = UnpackBudget.of_file(stream, name=title)
    return io.TextIOWrapper(open_unpacked(stream, name=title, budget=budget), "utf-8-sig", errors="replace")


def _read_table(
    text: io.TextIOWrapper, title: str, *, numbers: dict[str, int], needs_labels: bool, on_note: OnNote
) -> Split | None:
    """Return a table's pictures; the labels are numbers of their texts, in the order in which these came up."""
    lines = _read_lines(text, title)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{title} is empty; expected a table of pixels")
    columns = _find_columns(first, title, on_note=on_note)
    if columns is None:
        if needs_labels:
            raise DataError(f"{title} has no column of labels; expected one called {', '.join(LABEL_NAMES)}")
        return None
    pixels, labels, row = bytearray(), [], 1
    for piece in _cut_pieces(lines, first=None if columns.names else first):
        values = _parse(piece, columns, title=title, row=row, numbers=numbers)
        chosen = _choose_pixels(values, columns)
        _check_labels(values[:, columns.label], columns, title=title, row=row)
        _check_pixels(chosen, columns, title=title, row=row)
        pixels += np.ascontiguousarray(chosen, np.uint8).tobytes()
        labels.append(values[:, columns.label].astype(np.int64))
        row += len(piece)
        if len(pixels) > MAX_BODY_BYTES:
            raise DataError(f"{title} has more than {MAX_BODY_BYTES} pixels; make it smaller")
    if not labels:
        raise DataError(f"{title} has a header and no rows; expected a picture a row")
    images = np.frombuffer(pixels, np.uint8).reshape(-1, columns.side, columns.side)
    return Split(images=images, labels=np.concatenate(labels))


def _read_lines(text: io.TextIOWrapper, title: str) -> Iterator[str]:
    """Yield the lines that hold anything; memory is taken for lines of a bounded length only."""
    while line := text.readline(MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise DataError(f"{title} is no table of pixels: a line has {MAX_LINE_CHARACTERS} characters or more")
        if line.strip():
            yield line


def _cut_pieces(lines: Iterator[str], *, first: str | None) -> Iterator[list[str]]:
    piece, size = ([], 0) if first is None else ([first], len(first))
    for line in lines:
        piece.append(line)
        size += len(line)
        if size > PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _find_columns(line: str, title: str, *, on_note: OnNote) -> _Columns | None:
    """Tell from a table's first line what its columns are; None where it has a header without labels."""
    delimiter = max(DELIMITERS, key=line.count)
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    # Without a header only the label, which comes first, may be a word.
    has_header = not all(map(_is_number, cells[1:]))
    names = [cell.lower() for cell in cells] if has_header else [LABEL_NAMES[0], *map(str, range(1, len(cells)))]
    label = next((names.index(word) for word in LABEL_NAMES if word in names), None)
    pixels = [place for place, word in enumerate(names) if place != label and word not in IGNORED_NAMES]
    side = math.isqrt(len(pixels))
    if side * side != len(pixels) or side < 2:
        besides = "besides its labels" if label is not None else f"and none of them called {', '.join(LABEL_NAMES)}"
        raise DataError(
            f"{title} is no table of pixels: it has {count_of(len(pixels), 'column')} {besides}; expected the "
            "grey values of a "
            "square, such as 784 for 28x28"
        )
    if label is None:
        return None
    if ignored := [cells[place] or "without a name" for place, word in enumerate(names) if word in IGNORED_NAMES]:
        on_note(f"{title}: left out the column {', '.join(ignored)}: neither label nor pixels")
    return _Columns(delimiter, cells if has_header else None, label, pixels, len(cells), side)


def _parse(lines: list[str], columns: _Columns, *, title: str, row: int, numbers: dict[str, int]) -> npt.NDArray[Any]:
    """Return the cells `[rows, columns]`; labels as numbers of their texts, `NO_LABEL` where there is none."""

    def number(text: str) -> int:
        plain = text.strip()
        return numbers.setdefault(plain, len(numbers)) if plain else NO_LABEL

    def parse(dtype: str) -> npt.NDArray[Any]:
        return np.loadtxt(
            lines,
            dtype=np.dtype(dtype),
            delimiter=columns.delimiter,
            comments=None,
            quotechar='"',
            converters={columns.label: number},
            encoding="utf-8",
            ndmin=2,
        )

    try:
        try:
            values = parse("i4")
        except ValueError:  # some programs write 7 as 7.0
            values = parse("f8")
    except ValueError as error:
        raise DataError(f"{title}: {_explain(str(error), columns, row=row)}") from error
    if values.shape[1] != columns.num_cells:
        raise DataError(
            f"{title}: row {row} has {count_of(values.shape[1], 'cell')}; expected {columns.num_cells} as above it"
        )
    return values


def _explain(reason: str, columns: _Columns, *, row: int) -> str:
    """Return what NumPy says of a cell, with the table's own row: it counts those of one piece."""
    if bad := re.search(r"could not convert string (.*) to \w+ at row (\d+), column (\d+)", reason):
        where = columns.name_cell(row + int(bad[2]), int(bad[3]))
        return f"{where} holds {bad[1]}; expected a whole number from 0 to 255"
    if ragged := re.search(r"changed from (\d+) to (\d+) at row (\d+)", reason):
        is_first = int(ragged[1]) != columns.num_cells
        place, found = (0, ragged[1]) if is_first else (int(ragged[3]) - 1, ragged[2])
        return f"row {row + place} has {count_of(int(found), 'cell')}; expected {columns.num_cells} as above it"
    return reason


def _choose_pixels(values: npt.NDArray[Any], columns: _Columns) -> npt.NDArray[Any]:
    """Return the columns of pixels, a view where they stand side by side."""
    first, last = columns.pixels[0], columns.pixels[-1]
    side_by_side = last - first + 1 == len(columns.pixels)
    return values[:, first : last + 1] if side_by_side else values[:, columns.pixels]


def _check_labels(labels: npt.NDArray[Any], columns: _Columns, *, title: str, row: int) -> None:
    if len(missing := np.flatnonzero(labels == NO_LABEL)):
        where = columns.name_cell(row + int(missing[0]), columns.label + 1)
        raise DataError(f"{title}: {where} is empty; expected a label")


def _check_pixels(pixels: npt.NDArray[Any], columns: _Columns, *, title: str, row: int) -> None:
    refuse_unit_scale(pixels, name=f"{title}: its")
    # What is no number is unequal to itself.
    wrong = (pixels < 0) | (pixels > 255) | (pixels != np.rint(pixels))
    if wrong.any():
        place, column = (int(number) for number in np.argwhere(wrong)[0])
        where = columns.name_cell(row + place, columns.pixels[column] + 1)
        raise DataError(f"{title}: {where} holds {pixels[place, column]:g}; expected a whole number from 0 to 255")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
