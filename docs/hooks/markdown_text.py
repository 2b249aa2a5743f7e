"""Tables in Markdown."""

from __future__ import annotations

__all__ = ["as_cell", "table"]

from collections.abc import Iterable, Sequence


def as_cell(text: str) -> str:
    """Return text that means itself in a cell of a table."""
    for sign in ("\\", "|", "<", "*", "_", "["):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
