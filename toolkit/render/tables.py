"""The one style of tables: no figure is ever cut; what does not fit a line goes on in the next, under its heading."""

from __future__ import annotations

__all__ = ["Cell", "RowTable", "make_table", "split_shared"]

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.containers import Lines
from rich.text import Text

Cell = str | Text
GAP = 2
# Of what goes on in a further line: so far is it set in.
INDENT = 4
# A column of sentences that would be narrower stands under its row.
LEAST_WORDS = 32


class _Layout(NamedTuple):
    """Where the columns of a table stand: those of each line, those under the row, and the sentences to their right."""

    lines: Sequence[Sequence[int]]
    below: Sequence[int] = ()
    beside: int | None = None
    room: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTable:
    """A table without a frame.

    Where the terminal is too narrow for all columns a row takes several lines: as many columns in the first as fit it,
    the others in lines that are set in. A column without a word is left out.

    Attributes:
        header: the headings of its columns.
        rows: their cells.
        right: the headings of what stands to the right: figures.
        folded: those of sentences, which go on in the next line at a word.
        below: those of commands and paths, which are never parted: where they do not fit they stand under their row.
        title: stands above it.
        caption: stands under it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Text]]
    right: Collection[str] = ()
    folded: Collection[str] = ()
    below: Collection[str] = ()
    title: str = ""
    caption: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        layout = self._lay_out(options.max_width)
        if self.title:
            yield Text(self.title, "italic")
        yield from self._row([Text(name, "bold") for name in self.header], layout, is_header=True)
        for row in self.rows:
            yield from self._row(row, layout)
        if self.caption:
            yield Text(self.caption)

    def _lay_out(self, width: int) -> _Layout:
        told = [place for place, _ in enumerate(self.header) if not self.rows or any(row[place] for row in self.rows)]
        if self._width_of(told) <= width:
            return _Layout([told])
        words = [place for place in told if self.header[place] in {*self.folded, *self.below}]
        others = [place for place in told if place not in words]
        room = width - self._width_of(others) - GAP
        if len(words) == 1 and self.header[words[0]] in self.folded and room >= LEAST_WORDS:
            return _Layout([others], beside=words[0], room=room)
        lines: list[list[int]] = [[]]
        for place in others:
            if lines[-1] and self._width_of([*lines[-1], place]) > width - INDENT * (len(lines) > 1):
                lines.append([])
            lines[-1].append(place)
        return _Layout(lines, below=words)

    def _width_of(self, places: Sequence[int]) -> int:
        return sum(self._column_width(place) + GAP for place in places) - GAP

    def _column_width(self, place: int) -> int:
        return max(cell_len(self.header[place]), *(cell_len(row[place].plain) for row in self.rows), 0)

    def _row(self, cells: Sequence[Text], layout: _Layout, *, is_header: bool = False) -> Iterator[Text]:
        for number, places in enumerate(layout.lines):
            line = self._join(cells, places, indent=INDENT if number else 0)
            if layout.beside is None or not cells[layout.beside]:
                if number == 0 or any(cells[place] for place in places):
                    line.rstrip()
                    yield line
                continue
            margin = cell_len(line.plain) + GAP
            for part, words in enumerate(_fold(cells[layout.beside], layout.room)):
                words.rstrip()
                yield _whole(Text.assemble(line if part == 0 else " " * (margin - GAP), " " * GAP, words))
        for place in layout.below:
            if cells[place] and not is_header:
                yield _whole(Text.assemble(" " * INDENT, cells[place]))

    def _join(self, cells: Sequence[Text], places: Sequence[int], *, indent: int) -> Text:
        line = Text(" " * indent)
        for number, place in enumerate(places):
            room = " " * (self._column_width(place) - cell_len(cells[place].plain))
            is_right = self.header[place] in self.right
            line.append(" " * GAP if number else "")
            line.append_text(Text.assemble(room, cells[place]) if is_right else Text.assemble(cells[place], room))
        return _whole(line)


def make_table(
    header: Iterable[str],
    rows: Iterable[Iterable[Cell]],
    *,
    right: Collection[str] = (),
    folded: Collection[str] = (),
    below: Collection[str] = (),
    title: str = "",
    caption: str = "",
) -> RowTable:
    """Return a table; the arguments are as `RowTable` has them."""
    cells = tuple(tuple(cell if isinstance(cell, Text) else Text(cell) for cell in row) for row in rows)
    return RowTable(
        header=tuple(header), rows=cells, right=right, folded=folded, below=below, title=title, caption=caption
    )


def split_shared(
    rows: Sequence[Mapping[str, Cell]], *, settings: Collection[str] = (), figures: Collection[str] = ()
) -> tuple[list[dict[str, Cell]], dict[str, Cell]]:
    """Take out of a table's rows what needs no column.

    Args:
        rows: for each row its cells by their headings.
        settings: the headings that are said once where all rows say the same.
        figures: those that are said once where all rows that say anything say the same.

    Returns:
        The rows with the columns that are left, and what is said once. A column without a word is in neither.
    """
    told = {name: {str(row[name]) for row in rows} for name in (rows[0] if rows else ())}
    empty = {name for name, cells in told.items() if cells == {""}}
    once = {name for name in settings if len(told.get(name, ())) == 1}
    once |= {name for name in figures if len(told.get(name, set()) - {""}) == 1}
    shared = {name: next(row[name] for row in rows if str(row[name])) for name in told if name in once - empty}
    return [{name: cell for name, cell in row.items() if name not in empty | once} for row in rows], shared


def _fold(cell: Text, room: int) -> Lines:
    """Return a cell's lines, folded at words; a longer word is not parted, which Rich's own folding would do."""
    places: list[int] = []
    for word in re.finditer(r"\S+", cell.plain):
        start = places[-1] if places else 0
        if word.start() > start and cell_len(cell.plain[start : word.end()]) > room:
            places += [word.start()]
    return cell.divide(places)


def _whole(line: Text) -> Text:
    """Return a line that is neither folded nor cut, whatever its length."""
    line.no_wrap, line.overflow = True, "ignore"
    return line
