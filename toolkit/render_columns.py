"""Tables that fit a narrow terminal: what all rows say alike is said once, and figures are never cut."""

from __future__ import annotations

__all__ = ["narrow_table", "split_shared"]

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import JustifyMethod

Cell = str | Text


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
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows[0] if rows else ():
        justify: JustifyMethod = "left" if name in words else "right"
        table.add_column(name, justify=justify, no_wrap=name not in folded, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    return table
