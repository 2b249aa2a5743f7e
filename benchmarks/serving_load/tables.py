"""What was measured as Markdown: a table for each part, and the machine above them."""

from __future__ import annotations

__all__ = ["write_markdown"]

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.environment import describe_environment

# From here on digits behind the point say nothing.
WHOLE_FROM = 100.0


def write_markdown(parts: Mapping[str, Sequence[Mapping[str, Any]]], *, environment: Mapping[str, Any]) -> str:
    """Return a table for each part; keys are the columns, in the order in which rows bring them.

    Args:
        parts: rows by the part's name.
        environment: as `describe_environment` tells.
    """
    processor = environment["cpu"]
    cores = f"{processor['logical_cores']} cores of {processor['model']}"
    now = describe_environment()["load_average"][0]
    lines = [f"{cores}; load average before {environment['load_average'][0]}, after {now}; server and client pinned."]
    for name, rows in parts.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines += ["", f"**{name}**", "", _line(key.replace("_", " ") for key in columns), _line("---" for _ in columns)]
        lines += [_line(_cell(row.get(key)) for key in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float) and abs(value) < WHOLE_FROM:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)
