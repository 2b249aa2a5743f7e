"""Comparisons and corruptions as sentences and a table."""

from __future__ import annotations

__all__ = ["corruptions_table", "describe_comparison", "describe_corruptions"]

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.evaluation.judge_corruptions import CorruptionRow, CorruptionsReport
    from toolkit.evaluation.paired import PairedReport

STYLES = {"better": "green", "worse": "red", "undecided": ""}


def describe_comparison(other: AccuracyReport, paired: PairedReport, *, name: str) -> str:
    """Return the other model's accuracy, the paired difference and whether chance explains it."""
    verdict = {
        "better": "better than the other",
        "worse": "worse than the other",
        "undecided": "a difference that chance explains" if paired.difference else "no difference",
    }[paired.verdict]
    return (
        f"{name} has {other.describe()}; difference {100 * paired.difference:+.2f} points, right alone "
        f"{paired.only_first:,} against {paired.only_second:,}, exact McNemar p = {paired.p_value:.2g}: {verdict}"
    )


def corruptions_table(report: CorruptionsReport, *, names: tuple[str, str | None]) -> Table:
    """Return a row for each set of images; the other model's columns only where there is one.

    Args:
        report: the rows.
        names: of the model and of the other one, None without it.
    """
    compared = names[1] is not None
    table = Table(
        title=f"{names[0]} on {report.dataset}, seed {report.seed}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("images")
    heads = ["count", "accuracy %", "95 % interval"]
    for head in [*heads, *(["against %", "95 % interval", "difference", "p"] if compared else [])]:
        table.add_column(head, justify="right")
    if compared:
        table.add_column("")
    for row in report.rows:
        table.add_row(row.family, *_figures(row), *(_comparison(row) if compared else ()))
    return table


def describe_corruptions(report: CorruptionsReport, *, names: tuple[str, str | None]) -> list[str]:
    """Return the mean over the families, the verdicts, and why a row was skipped."""
    summary = report.summarise()
    families, mean = summary["families"], 100 * summary["mean_accuracy"]
    lines = [f"mean over the {families} corrupted sets: {mean:.2f} %"]
    if names[1] is not None:
        other = 100 * summary["mean_accuracy_against"]
        lines[0] += f", {names[1]} {other:.2f} %, difference {mean - other:+.2f} points"
        lines.append(
            f"at p < 0.05 (exact McNemar tests, corrected for {families} of them by Holm) better in "
            f"{summary['better']} of {families}, worse in {summary['worse']}, undecided in {summary['undecided']}"
        )
    return [*lines, *(f"{row.family} skipped: {row.reason}" for row in report.rows if row.reason)]


def _figures(row: CorruptionRow) -> tuple[str, ...]:
    if row.report is None:
        return ("skip", "", "")
    return (f"{row.report.count:,}", *_percent(row.report))


def _comparison(row: CorruptionRow) -> tuple[str | Text, ...]:
    if row.against is None or row.paired is None:
        return ("", "", "", "", "")
    paired = row.paired
    verdict = Text(paired.verdict, STYLES[paired.verdict])
    p_value = paired.p_value if paired.p_holm is None else paired.p_holm
    return (*_percent(row.against), f"{100 * paired.difference:+.2f}", f"{p_value:.2g}", verdict)


def _percent(report: AccuracyReport) -> tuple[str, str]:
    low, high = report.interval
    return f"{100 * report.accuracy:.2f}", f"{100 * low:.2f} to {100 * high:.2f}"
