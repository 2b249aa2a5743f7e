"""Tables; those that have to fit a narrow terminal say once what all rows say alike, and cut no figure."""

from __future__ import annotations

__all__ = ["make_table", "narrow_table", "split_shared"]

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich.console import JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

Cell = str | Text


def make_table(
    header: Iterable[str],
    rows: Iterable[Iterable[Cell]],
    *,
    right: Collection[str] = (),
    folded: Collection[str] = (),
    whole: Collection[str] = (),
    framed: bool = False,
    **style: Any,
) -> Table:
    """Return a table.

    Args:
        header: the headings of its columns.
        rows: their cells.
        right: the headings of what stands to the right: figures.
        folded: those whose cells go on in the next line where the terminal is too narrow; others are cut.
        whole: those whose cells are never parted.
        framed: draw lines around it.
        style: what else `rich.table.Table` is told.
    """
    bare = {} if framed else {"box": None, "pad_edge": False}
    table = Table(**{**bare, **style})
    for name in header:
        justify: JustifyMethod = "right" if name in right else "left"
        overflow: OverflowMethod = "fold" if name in folded else "ellipsis"
        table.add_column(name, justify=justify, no_wrap=name in whole, overflow=overflow)
    for row in rows:
        table.add_row(*row)
    return table


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


def narrow_table(rows: Sequence[Mapping[str, Cell]], *, words: Collection[str], folded: Collection[str]) -> Table:
    """Return a table that cuts no figure: where the terminal is too narrow, settings take a second line.

    Args:
        rows: for each row its cells by their headings, as `split_shared` leaves them.
        words: the headings of what stands to the left; the others are figures.
        folded: those of them that may take a second line.
    """
    header = tuple(rows[0]) if rows else ()
    figures, whole = {*header} - {*words}, {*header} - {*folded}
    cells = (row.values() for row in rows)
    return make_table(header, cells, right=figures, folded=header, whole=whole, padding=(0, 1, 0, 0))
