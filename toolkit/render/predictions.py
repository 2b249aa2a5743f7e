"""A prediction's report as a table and a few lines."""

from __future__ import annotations

__all__ = ["prediction_summary", "predictions_table"]

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from toolkit.prediction.pipeline.blocks import Row
    from toolkit.prediction.report import PredictionReport

STYLES = {"ok": "", "fallback": "yellow", "error": "red"}


def predictions_table(report: PredictionReport) -> Table:
    """Return the report's first rows; status and message are columns only where they say something."""
    rows = report.preview
    is_plain = all(row.status == "ok" and not row.message for row in rows)
    table = Table(title=None)
    table.add_column("source", overflow="fold")
    for name in ("index", "label", "probability", "margin"):
        table.add_column(name, justify="right", no_wrap=True)
    if not is_plain:
        table.add_column("status", no_wrap=True)
        table.add_column("message", overflow="fold")
    for row in rows:
        cells = _cells(row)
        table.add_row(*(cells[:5] if is_plain else cells), style=STYLES[row.status])
    return table


def prediction_summary(report: PredictionReport) -> list[Text]:
    """Return what was done, by what, how fast, and where the rows lie, one line each."""
    count = report.num_ok + report.num_errors
    shown = f"; the first {len(report.preview)} are shown" if count > len(report.preview) else ""
    errors = f", {report.num_errors} without an answer" if report.num_errors else ""
    lines = [f"{count:,} images, {report.num_ok:,} predicted{errors}{shown}"]
    speed = f", {report.images_per_s:,.0f} images/s with reading and decoding" if report.images_per_s else ""
    lines.append(f"model {report.model}, {_engine(report)}{speed}")
    if report.num_doubtful:
        lines.append(f"{report.num_doubtful:,} of the answers are doubtful; the column message says why")
    if report.num_resumed:
        lines.append(f"{report.num_resumed:,} of the rows were written before this run")
    if report.score is not None:
        lines.append(_score(report))
    if report.fallback:
        lines.append(f"FALLBACK: {report.provider_requested} was asked for; {report.fallback_reason}")
    if report.output is not None:
        lines.append(f"rows in {report.output}")
    return [Text(_visible(line)) for line in lines]


def _engine(report: PredictionReport) -> str:
    place = report.provider_active if report.runtime == "ort" else f"{report.runtime} {report.runtime_version}"
    precision = "" if report.precision == "fp32" else f" in {report.precision}"
    return f"on {place}{precision}, batch {report.batch}"


def _score(report: PredictionReport) -> str:
    score = report.score
    if score is None or not score["count"]:
        return "no file's name begins with a class"
    low, high = (100 * value for value in score["ci95"])
    share = 100 * score["accuracy"]
    return (
        f"{score['correct']:,} of {score['count']:,} agree with their file's name: {share:.2f} % "
        f"(95 % interval {low:.2f} to {high:.2f})"
    )


def _cells(row: Row) -> list[Text]:
    probability = "" if row.probability is None else f"{row.probability:.4f}"
    margin = "" if row.margin is None else f"{row.margin:.3f}"
    values = (row.source, str(row.index), row.label, probability, margin, row.status, row.message)
    return [Text(_visible(value)) for value in values]


def _visible(text: str) -> str:
    """Return text in which control characters, as names of files may hold, are written out."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
