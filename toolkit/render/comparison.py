"""Two benchmarks held beside one another: a table of ratios, each row with its verdict."""

from __future__ import annotations

__all__ = ["render_comparison"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from toolkit.counts import count_of
from toolkit.render.tables import Cell, make_table, split_shared

if TYPE_CHECKING:
    from toolkit.bench.compare import Comparison, RowChange

SETTINGS = ("runtime", "provider", "precision", "batch", "threads")
RATIOS = ("p50", "p99", "throughput")
STYLES = {"regression": "red", "open": "yellow", "unstable": "yellow", "fine": "green"}
LEGEND = (
    "new / old, in brackets the range that both 95 % intervals allow; p50, p99: times, under 1 is faster; "
    "throughput: over 1 is faster"
)


def render_comparison(comparison: Comparison) -> list[RenderableType]:
    """Return the table of rows and what else is to be said, one line each."""
    cells = [_cells(change) for change in comparison.changes]
    rows, shared = split_shared(cells, settings=SETTINGS[1:])
    lines = [f"every row: {', '.join(f'{name} {cell}' for name, cell in shared.items())}"] if shared else []
    right = {"batch", "threads", *RATIOS}
    compared = [row for row, change in zip(rows, comparison.changes, strict=True) if not change.problem]
    table = [make_table(rows[0], (row.values() for row in compared), right=right, folded={"verdict"})]
    after = [*([LEGEND] if compared else []), *comparison.differences]
    if comparison.undecided:
        count = f"{len(comparison.undecided)} of {count_of(len(comparison.changes), 'row')}"
        mend = "measure again on an idle machine, or longer (toolkit bench --seconds 10)"
        after.append(f"{count} cannot be decided; {mend}")
    if comparison.added:
        after.append(f"{count_of(len(comparison.added), 'row')} passed in the new result only")
    problems = _tell_problems(rows, comparison.changes)
    return [*map(Text, lines), *(table if compared else []), *problems, *map(Text, after)]


def _tell_problems(rows: Sequence[Mapping[str, Cell]], changes: Sequence[RowChange]) -> list[Text]:
    """Return each reason why rows could not be compared once, with the rows: an engine that is gone has many."""
    told: dict[str, dict[str, list[str]]] = {}
    for row, change in zip(rows, changes, strict=True):
        if change.problem:
            others = (key for key in SETTINGS if key in row and key != "batch")
            name = ", ".join(f"threads {row[key]}" if key == "threads" else str(row[key]) for key in others)
            told.setdefault(change.problem, {}).setdefault(name, []).append(str(change.row["batch"]))
    lines = []
    for words, names in told.items():
        listed = [f"{name}, batch {', '.join(batches)}" for name, batches in names.items()]
        lines.append(Text(f"{'; '.join(listed)}: {words}", "red"))
    return lines


def _cells(change: RowChange) -> dict[str, str | Text]:
    row = change.row
    named = (row["runtime"], row["provider_active"], row["precision"], row["batch"], row["threads"])
    told = dict(zip(SETTINGS, map(str, named), strict=True))
    told["threads"] = "own" if row["threads"] == 0 else told["threads"]
    return {**told, **{name: _ratio(change.ratios.get(name)) for name in RATIOS}, "verdict": _verdict(change)}


def _ratio(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['point']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"


def _verdict(change: RowChange) -> Text:
    parts = [Text(f"{condition}: {verdict}", style=STYLES[verdict]) for condition, verdict in change.verdicts.items()]
    return Text("; ").join(parts)
