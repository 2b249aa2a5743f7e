"""A benchmark's report as a table and the lines under it."""

from __future__ import annotations

__all__ = ["render_bench"]

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolkit.bench.report import BenchReport, BenchRow

WORDS = ("runtime", "provider", "precision")
NUMBERS = (
    "batch",
    "threads",
    "samples",
    "mean ms",
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "items/s",
    "first ms",
    "stable",
)


def render_bench(report: BenchReport) -> list[RenderableType]:
    """Return a table of the measured rows, then one line for every row that fell back, failed, was skipped or moved."""
    table = Table(title=f"{report.model['path']}: latency of one call, host to host, single stream")
    for name in WORDS:
        table.add_column(name)
    for name in NUMBERS:
        table.add_column(name, justify="right")
    measured = [row for row in report.rows if row.latency_ms]
    for row in measured:
        table.add_row(*(Text(cell) for cell in _cells(row)))
    # Text, not markup: a reason may hold square brackets, such as onnxruntime-gpu[cuda].
    notes = [Text(line) for row in report.rows if (line := _note(row))]
    absent = any(value is None for row in measured for value in (row.latency_ms or {}).values())
    legend = [Text("-  too few samples for that percentile; nothing was left out of the others")] if absent else []
    return [*([table] if measured else []), *legend, *notes]


def _cells(row: BenchRow) -> list[str]:
    latency = row.latency_ms or {}
    provider = f"{row.provider_active} (fallback)" if row.fallback else str(row.provider_active)
    times = [_number(latency.get(name)) for name in ("mean", "p50", "p90", "p95", "p99", "p99.9")]
    first = _number((row.cold or {}).get("first_run_ms"))
    stable = {True: "yes", False: f"no, {row.spread or 0:.0%}", None: "?"}[row.stable]
    counts = [str(row.batch), "engine's" if row.threads == 0 else str(row.threads), f"{row.samples:,}"]
    return [row.runtime, provider, row.precision, *counts, *times, f"{row.throughput_items_per_s:,.0f}", first, stable]


def _note(row: BenchRow) -> str:
    where = f"{row.runtime} on {row.provider_requested}"
    if row.batch is not None:
        where += f", batch {row.batch}"
    if row.status != "pass":
        return f"{row.status.upper()}  {where}: {row.reason}"
    if row.fallback:
        return f"FALLBACK  {where} ran on {row.provider_active}: {row.reason or 'the provider is not active'}"
    if row.stable is False:
        return f"UNSTABLE  {where}: the medians of three windows differ by {row.spread:.0%}; the machine was busy"
    return ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1 else f"{value:,.2f}"
