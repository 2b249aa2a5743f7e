"""A report in a few lines: as text where it is printed, as a table where a notebook shows it."""

from __future__ import annotations

__all__ = ["MOST_ROWS", "Summarised", "Summary", "number_facts"]

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

# What a person takes in at a glance; a report's own attributes hold all of them.
MOST_ROWS = 8
# No colour of its own: a notebook's text is dark on light or light on dark.
CELL = "text-align:left;vertical-align:top;padding:.15em .8em .15em 0"
HEAD = f"{CELL};white-space:nowrap"
# Of a cell, on a line that is not folded.
MOST_CHARACTERS = 72


class Summary(NamedTuple):
    """What a report says of itself.

    Attributes:
        title: what it is and what came out, in one line.
        facts: figures by what they are called.
        rows: cells of a table, as many in each row; none by default.
        columns: what the cells are.
        num_rows: how many rows there are, where they are more than those given.
    """

    title: str
    facts: Mapping[str, object] = {}
    rows: Sequence[Sequence[object]] = ()
    columns: Sequence[str] = ()
    num_rows: int = 0

    @property
    def num_left_out(self) -> int:
        """Rows that are not shown."""
        return max(self.num_rows, len(self.rows)) - len(self.rows[:MOST_ROWS])


def number_facts(word: str, sentences: Iterable[str]) -> dict[str, object]:
    """Return sentences as facts that are called by a word and their number, from 1."""
    return {f"{word} {number}": words for number, words in enumerate(sentences, start=1)}


class Summarised:
    """Shows `summarise()`: what a report is, in a few lines, wherever Python or a notebook shows it."""

    __slots__ = ()

    def summarise(self) -> Summary:
        """Return what is shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        told = self.summarise()
        rows = [[_cut(_line(cell)) for cell in row] for row in (told.columns, *told.rows[:MOST_ROWS]) if row]
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
        label = max((len(name) for name in told.facts), default=0)
        lines = [
            _line(told.title),
            *(f"  {_line(name):<{label}}  {_line(value)}" for name, value in told.facts.items()),
            *("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
            *([f"  ... and {told.num_left_out:,} more"] if told.num_left_out else []),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        told = self.summarise()
        facts = "".join(_row((value,), name) for name, value in told.facts.items())
        rows = "".join(_row(row) for row in told.rows[:MOST_ROWS])
        head = "".join(f"<th style='{HEAD}'>{_safe(name)}</th>" for name in told.columns)
        tables = "".join(f"<table>{body}</table>" for body in (facts, rows and f"<tr>{head}</tr>{rows}") if body)
        left_out = f"<p>... and {told.num_left_out:,} more</p>" if told.num_left_out else ""
        return f"<div><p><b>{_safe(told.title)}</b></p>{tables}{left_out}</div>"


def _row(cells: Sequence[object], head: str = "") -> str:
    first = f"<th style='{HEAD}'>{_safe(head)}</th>" if head else ""
    return f"<tr>{first}{''.join(f'<td style={CELL!r}>{_safe(cell)}</td>' for cell in cells)}</tr>"


def _line(value: object) -> str:
    """Return a value on one line that no terminal takes for a command: it may be a stranger's file's."""
    return "".join(character if character.isprintable() else " " for character in str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 4]} ..."


def _safe(value: object) -> str:
    return escape(_line(value))
