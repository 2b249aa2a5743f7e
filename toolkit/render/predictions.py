"""A prediction's report as a table and a few lines."""

from __future__ import annotations

__all__ = ["prediction_summary", "predictions_table"]

from typing import TYPE_CHECKING

from rich.text import Text

from toolkit.counts import count_of
from toolkit.render.tables import RowTable, make_table
from toolkit.runtimes.providers import PROVIDERS, mark_software

if TYPE_CHECKING:
    from toolkit.prediction.pipeline.blocks import Row
    from toolkit.prediction.report import PredictionReport

NUMBERS = ("index", "label", "probability", "margin")
# By what tells a row's class.
AGREED = {"filename": "file's name", "folder": "folder's name"}
NOTHING_TOLD = {
    "filename": "nothing to score: no file's name begins with a class",
    "folder": "nothing to score: no picture lies in a folder that is named like a class",
}
STYLES = {"ok": "", "fallback": "yellow", "error": "red"}


def predictions_table(report: PredictionReport) -> RowTable:
    """Return the report's first rows; doubtful, status and message are columns only where they say something."""
    rows = report.preview
    says = {
        "doubtful": any(row.doubtful for row in rows),
        "status": any(row.status != "ok" for row in rows),
        "message": any(row.message for row in rows),
    }
    names = ["source", *NUMBERS, *(name for name, is_said in says.items() if is_said)]
    cells = ([_cells(row)[name] for name in names] for row in rows)
    return make_table(names, cells, right=NUMBERS, folded={"message"})


def prediction_summary(report: PredictionReport) -> list[Text]:
    """Return what was done, by what, how fast, and where the rows lie, one line each."""
    count = report.num_ok + report.num_errors
    shown = f"; the first {len(report.preview)} are shown" if count > len(report.preview) else ""
    errors = f", {report.num_errors} without an answer" if report.num_errors else ""
    lines = [f"{count_of(count, 'image')}, {report.num_ok:,} predicted{errors}{shown}"]
    speed = f", {report.images_per_s:,.0f} images/s with reading and decoding" if report.images_per_s else ""
    lines.append(f"model {report.model}, {_engine(report)}{speed}")
    if report.num_doubtful:
        be = "is" if report.num_doubtful == 1 else "are"
        lines.append(f"{count_of(report.num_doubtful, 'answer')} {be} doubtful; the column message says why")
    if report.num_resumed:
        be = "was" if report.num_resumed == 1 else "were"
        lines.append(f"{count_of(report.num_resumed, 'row')} {be} written before this run")
    if report.score is not None:
        lines.append(_score(report))
    if report.fallback:
        lines.append(f"FALLBACK: {report.provider_requested} was asked for; {report.fallback_reason}")
    if report.output is not None:
        lines.append(f"rows in {report.output}")
    return [Text(_visible(line)) for line in lines]


def _engine(report: PredictionReport) -> str:
    place = f"{report.runtime} {report.runtime_version}"
    if report.runtime in {spec.runtime for spec in PROVIDERS.values()}:
        place = mark_software(report.provider_active, report.device)
    precision = "" if report.precision == "fp32" else f" in {report.precision}"
    return f"on {place}{precision}, batch {report.batch}"


def _score(report: PredictionReport) -> str:
    score = report.score
    if score is None or not score["count"]:
        return NOTHING_TOLD[report.truths]
    low, high = (100 * value for value in score["ci95"])
    share = 100 * score["accuracy"]
    return (
        f"{score['correct']:,} of {score['count']:,} agree with their {AGREED[report.truths]}: {share:.2f} % "
        f"(95 % interval {low:.2f} to {high:.2f})"
    )


def _cells(row: Row) -> dict[str, Text]:
    values = {
        "source": row.source,
        "index": str(row.index),
        "label": row.label,
        "probability": "" if row.probability is None else f"{row.probability:.4f}",
        "margin": "" if row.margin is None else f"{row.margin:.3f}",
        "doubtful": "yes" if row.doubtful else "",
        "status": row.status,
        "message": row.message,
    }
    return {name: Text(_visible(value), STYLES[row.status]) for name, value in values.items()}


def _visible(text: str) -> str:
    """Return text in which control characters, as names of files may hold, are written out."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
