"""The parity matrix as a table."""

from __future__ import annotations

__all__ = ["describe_causes", "describe_reference", "describe_replay", "parity_table", "replay_table"]

from rich.table import Table
from rich.text import Text

from toolkit.parity.replay import ReplayReport
from toolkit.parity.report import ParityReport, ParityRow

MOST_VALUES = 40
MOST_WORDS = 300
MARKS = {
    "pass": Text("PASS", "green"),
    "fail": Text("FAIL", "red"),
    "refused": Text("refused", "magenta"),
    "undecided": Text("undecided", "yellow"),
    "skip": Text("skip", "yellow"),
}


def parity_table(report: ParityReport) -> Table:
    """Return one row for each engine and setting, with the verdict in the title."""
    verdict = report.verdict.upper()
    suite = next((f" ({name})" for row in report.rows for name in row.suites), "")
    title = f"parity {verdict} against {report.reference}, bound {report.bound:.2g}{suite}, ratios to {report.baseline}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", "runtime", "version", "provider", "precision", "threads", "optimisation"):
        table.add_column(name)
    for name in ("images", "max error", "bound", "ratio", "flips"):
        table.add_column(name, justify="right")
    table.add_column("reason", overflow="fold")
    for row in report.rows:
        table.add_row(*_cells(row))
    return table


def describe_reference(report: ParityReport) -> list[str]:
    """Return who vouches for a stranger's reference, what tells little and what was left out, one line each."""
    witnesses = report.reference_witnesses
    lines = [f"witnesses: {witnesses['words']}"] if witnesses else []
    lines += [f"note: {words}" for words in report.remarks]
    return [*lines, *(f"left out: {words}" for words in report.left_out)]


def describe_causes(report: ParityReport) -> list[str]:
    """Return one line for each cause that triage found, and for the first wrong node."""
    lines: dict[str, list[str]] = {}
    for row in report.rows:
        for cause in row.causes:
            lines.setdefault(cause, []).append(row.runtime)
    found = [f"cause ({', '.join(dict.fromkeys(names))}): {cause}" for cause, names in lines.items()]
    return [*found, f"first wrong ({report.bisect['runtime']}): {report.bisect['words']}"] if report.bisect else found


def describe_replay(report: ReplayReport) -> str:
    """Return the verdict on a replayed sample in one sentence."""
    sample, judgement = report.sample, report.judgement
    error = (
        "none that can be compared" if judgement.max_abs_logit_error is None else f"{judgement.max_abs_logit_error:.3g}"
    )
    place = f"{sample.suite} item {sample.index}, in its call of {len(sample.recording.reference.suites[0])}"
    verdict = "PASS" if report.passed else "FAIL" if judgement.failures else "UNDECIDED"
    return (
        f"{verdict} {sample.settings.runtime} {report.version} on {report.provider}: "
        f"{place}; largest error {error}, bound {judgement.bound:.3g}"
    )


def replay_table(report: ReplayReport) -> list[Table]:
    """Return for each output the reference, the answer and their difference at the sample."""
    return [_values_table(name, columns) for name, columns in report.values.items()]


def _values_table(name: str, columns: dict[str, list[float]]) -> Table:
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for heading in ("", *columns):
        table.add_column(heading, justify="right")
    rows = list(zip(*columns.values(), strict=True))
    for index, values in enumerate(rows[:MOST_VALUES]):
        table.add_row(str(index), *(f"{value:.6g}" for value in values))
    if len(rows) > MOST_VALUES:
        table.add_row("...", *(f"{len(rows) - MOST_VALUES} more" for _ in columns))
    return table


def _cells(row: ParityRow) -> tuple[str | Text, ...]:
    flips = f"{row.flips} ({row.flips_excused} excused)" if row.flips else "0"
    provider = f"{row.provider} (fallback)" if row.fallback else row.provider
    return (
        MARKS[row.status],
        row.runtime,
        row.version or "",
        provider,
        row.precision,
        str(row.threads or "own"),
        row.optimisation or "",
        f"{row.images:,}" if row.images else "",
        "" if row.max_abs_logit_error is None else f"{row.max_abs_logit_error:.2g}",
        "" if row.bound is None else f"{row.bound:.2g}",
        "" if row.error_ratio is None else f"{row.error_ratio:.2f}",
        flips if row.images else "",
        _shorten("; ".join(filter(None, (row.reason, *row.notes)))),
    )


def _shorten(words: str) -> str:
    return words if len(words) <= MOST_WORDS else words[:MOST_WORDS] + " ... (all in the report)"
