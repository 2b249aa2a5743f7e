"""A comparison of two benchmark results as a table and a few lines."""

from __future__ import annotations

__all__ = ["render_comparison"]

from rich.console import RenderableType
from rich.text import Text

from toolkit.bench.compare import Comparison, RowChange
from toolkit.render.tables import make_table

WORDS = ("runtime", "provider", "precision")
NUMBERS = ("batch", "threads")
METRICS = ("p50", "p99", "throughput")

STYLES = {"regression": "red", "open": "yellow", "unstable": "yellow", "fine": "green"}


def render_comparison(comparison: Comparison) -> list[RenderableType]:
    """Return the table of rows and what else is to be said, one line each."""
    header = (*WORDS, *NUMBERS, *METRICS, "verdict")
    title = "new / old, with the range that both 95 % intervals allow"
    right, whole = (*NUMBERS, *METRICS), (*WORDS, *METRICS)
    cells = map(_cells, comparison.changes)
    table = make_table(header, cells, right=right, folded={"verdict"}, whole=whole, framed=True, title=title)
    lines = [*comparison.differences]
    if comparison.undecided:
        count = len(comparison.undecided)
        lines.append(
            f"{count} of {len(comparison.changes)} rows decide nothing; measure again on an idle machine, or longer"
        )
    if comparison.added:
        lines.append(f"{len(comparison.added)} rows passed in the new result only")
    return [table, *(Text(line) for line in lines)]


def _cells(change: RowChange) -> list[str | Text]:
    row = change.row
    named = (row["runtime"], row["provider_active"], row["precision"], row["batch"], row["threads"])
    ratios = (_ratio(change.ratios.get(metric)) for metric in METRICS)
    return [*map(str, named), *ratios, _verdict(change)]


def _ratio(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['point']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def _verdict(change: RowChange) -> Text:
    if change.problem:
        return Text(change.problem, style="red")
    parts = [Text(f"{condition}: {verdict}", style=STYLES[verdict]) for condition, verdict in change.verdicts.items()]
    return Text("; ").join(parts)
