"""A comparison of two benchmark results as a table and a few lines."""

from __future__ import annotations

__all__ = ["render_comparison"]

from typing import Any

from rich.console import RenderableType

from toolkit.bench.compare import Comparison, RowChange

STYLES = {"regression": "red", "open": "yellow", "unstable": "yellow", "fine": "green"}


def render_comparison(comparison: Comparison) -> list[RenderableType]:
    """Return the table of rows and what else is to be said, one line each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="new / old, with the range that both 95 % intervals allow")
    for name in ("runtime", "provider", "precision"):
        table.add_column(name, no_wrap=True)
    for name in ("batch", "threads"):
        table.add_column(name, justify="right")
    for name in ("p50", "p99", "throughput"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for change in comparison.changes:
        row = change.row
        named = (row["runtime"], row["provider_active"], row["precision"], row["batch"], row["threads"])
        ratios = (_ratio(change.ratios.get(metric)) for metric in ("p50", "p99", "throughput"))
        table.add_row(*(str(value) for value in named), *ratios, _verdict(change))
    lines = [*comparison.differences]
    if comparison.undecided:
        count = len(comparison.undecided)
        lines.append(
            f"{count} of {len(comparison.changes)} rows decide nothing; measure again on an idle machine, or longer"
        )
    if comparison.added:
        lines.append(f"{len(comparison.added)} rows passed in the new result only")
    return [table, *(Text(line) for line in lines)]


def _ratio(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['point']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def _verdict(change: RowChange) -> Any:
    from rich.text import Text

    if change.problem:
        return Text(change.problem, style="red")
    parts = [Text(f"{condition}: {verdict}", style=STYLES[verdict]) for condition, verdict in change.verdicts.items()]
    return Text("; ").join(parts)
