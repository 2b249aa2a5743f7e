"""The parity matrix as a table."""

from __future__ import annotations

__all__ = ["parity_table"]

from rich.table import Table
from rich.text import Text

from toolkit.parity.report import ParityReport, ParityRow

MARKS = {"pass": Text("PASS", "green"), "fail": Text("FAIL", "red"), "skip": Text("skip", "yellow")}


def parity_table(report: ParityReport) -> Table:
    """Return one row for each engine and setting, with the verdict in the title."""
    verdict = "PASS" if report.passed else "FAIL"
    suite = next((name for row in report.rows for name in row.suites), "test")
    title = (
        f"parity {verdict} against {report.reference}, bound {report.bound:.2g} ({suite}), ratios to {report.baseline}"
    )
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", "runtime", "version", "provider", "threads", "optimisation"):
        table.add_column(name)
    for name in ("images", "max logit error", "bound", "ratio", "flips"):
        table.add_column(name, justify="right")
    table.add_column("reason", overflow="fold")
    for row in report.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: ParityRow) -> tuple[str | Text, ...]:
    flips = f"{row.flips} ({row.flips_excused} excused)" if row.flips else "0"
    provider = f"{row.provider} (fallback)" if row.fallback else row.provider
    return (
        MARKS[row.status],
        row.runtime,
        row.version or "",
        provider,
        str(row.threads or "own"),
        row.optimisation or "",
        f"{row.images:,}" if row.images else "",
        "" if row.max_abs_logit_error is None else f"{row.max_abs_logit_error:.2g}",
        "" if row.bound is None else f"{row.bound:.2g}",
        "" if row.error_ratio is None else f"{row.error_ratio:.2f}",
        flips if row.images else "",
        row.reason or "",
    )
