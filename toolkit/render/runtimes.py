"""The list of runtimes as a table."""

from __future__ import annotations

__all__ = ["runtimes_table"]

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from toolkit.render.tables import make_table
from toolkit.runtimes.installed import RuntimeRow


def runtimes_table(rows: Iterable[RuntimeRow]) -> Table:
    """Return one row for each runtime: its version, or the command that brings it."""
    header = ("runtime", "installed", "executes", "runs on", "what brings it")
    return make_table(header, map(_cells, rows), folded={"what brings it"})


def _cells(row: RuntimeRow) -> tuple[str | Text, ...]:
    brought_by = f"{row.distribution} {row.version}" if row.distribution else "installed, version unknown"
    found = Text(brought_by) if row.installed else Text("not installed", "yellow")
    executes = f"{row.executes} (a reference)" if row.is_reference else row.executes
    # Text, not markup: a command holds square brackets.
    return row.runtime, found, executes, ", ".join(row.devices), Text("" if row.installed else row.install)
