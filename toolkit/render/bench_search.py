"""What a search for the best settings looked at, as a table: the reader sees what was passed over."""

from __future__ import annotations

__all__ = ["tried_table"]

from typing import TYPE_CHECKING

from rich.console import RenderableType

from toolkit.render.tables import make_table

if TYPE_CHECKING:
    from toolkit.bench.report import BenchReport, TriedSetting

# Of a search over many sizes the rest is in the report.
MOST_SHOWN = 12
FIGURES = ("batch", "threads", "p50 ms", "items/s")


def tried_table(report: BenchReport) -> list[RenderableType]:
    """Return every setting that was tried shortly, the best first; nothing where nothing was searched."""
    shown = report.tried[:MOST_SHOWN]
    if not shown:
        return []
    header = ("runtime", "provider", "precision", *FIGURES, "then")
    left_out = len(report.tried) - len(shown)
    more = f" ({left_out} slower ones are in the report)" if left_out else ""
    line = f"tried shortly, so coarsely, the best first{more}; measured: what is near the best, properly"
    return ["", line, make_table(header, map(_cells, shown), right=FIGURES)]


def _cells(tried: TriedSetting) -> tuple[str, ...]:
    p50, rate = tried.p50_ms, tried.throughput_items_per_s
    return (
        tried.runtime,
        tried.provider,
        tried.precision,
        str(tried.batch),
        str(tried.threads or "own"),
        "-" if p50 is None else f"{p50:.3g}",
        "-" if rate is None else f"{rate:,.0f}",
        "measured" if tried.is_finalist else "",
    )
