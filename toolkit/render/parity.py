"""The parity matrix as a table."""

from __future__ import annotations

__all__ = ["describe_causes", "describe_matrix", "describe_reference", "describe_replay", "replay_table"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from toolkit.render.skipped import describe_skipped
from toolkit.render.tables import RowTable, make_table, split_shared
from toolkit.runtimes.providers import REMOTE, describe_device, mark_software

if TYPE_CHECKING:
    from toolkit.parity.diagnosis.replay import ReplayReport
    from toolkit.parity.report import ParityReport, ParityRow

SETTINGS = ("runtime", "version", "provider", "precision", "threads", "at once", "optimisation")
RATIO, FLIPS = "x baseline", "changed"
MOST_VALUES = 40
MOST_WORDS = 300
MARKS = {
    "pass": Text("PASS", "green"),
    "fail": Text("FAIL", "red"),
    "refused": Text("refused", "magenta"),
    "undecided": Text("undecided", "yellow"),
    "skip": Text("skip", "yellow"),
}


def describe_matrix(report: ParityReport) -> list[RenderableType]:
    """Return the verdict, what all rows share, a row for each engine and setting, and the reasons under them."""
    counted = _counted(report)
    # What was not run is a line for each cause; it has no figures.
    judged = [row for row in report.rows if row.status != "skip"]
    rows, shared = split_shared(
        [_cells(row, counted=counted) for row in judged], settings=SETTINGS[2:], figures=(counted, FLIPS)
    )
    shares = ", ".join(_say(name, cell) for name, cell in shared.items())
    parts: list[RenderableType] = [Text(_headline(report)), *([Text(f"every row: {shares}")] if shares else [])]
    if rows:
        parts.append(make_table(rows[0], (row.values() for row in rows), right={*rows[0]} - {"", *SETTINGS}))
        parts += [Text(f"{name}: {words}") for name, words in _legend(report).items() if name in rows[0]]
    skipped = describe_skipped((_engine(row), row.reason or "") for row in report.rows if row.status == "skip")
    ended = ["INTERRUPTED  what stands above is finished, the rest was not judged"] if report.is_interrupted else []
    return [*parts, *_reasons(judged), *map(Text, (*skipped, *ended))]


def _legend(report: ParityReport) -> dict[str, str]:
    return {
        RATIO: f"the largest error as a multiple of that of {report.baseline}",
        FLIPS: "answers with another label than the reference's; excused where rounding explains it",
    }


def _headline(report: ParityReport) -> str:
    suite = next((f" ({name})" for row in report.rows for name in row.suites), "")
    verdict = report.verdict.upper() if any(row.status != "skip" for row in report.rows) else "judged nothing"
    verdict = "INTERRUPTED" if report.is_interrupted and not report.failed else verdict
    return f"parity {verdict} against {report.reference}, bound {report.bound:.2g}{suite}"


def _counted(report: ParityReport) -> str:
    """Return what the matrix counts: a stranger's calls hold items of any kind."""
    return "images" if report.reference_witnesses is None else "items"


def _say(name: str, cell: str | Text) -> str:
    if name == FLIPS:
        return f"{cell} labels changed" if cell != "1" else "1 label changed"
    if name in {"images", "items"}:
        return f"{cell} {name.removesuffix('s') if str(cell) == '1' else name}"
    return f"{name} {cell}"


def _reasons(judged: Sequence[ParityRow]) -> list[Text]:
    """Return each reason once, with what sets its rows apart from others of their engine."""
    told: dict[tuple[str, str], list[ParityRow]] = {}
    for row in judged:
        elsewhere = f"elsewhere: {', '.join(row.elsewhere)}" if row.elsewhere else ""
        device = describe_device(row.device) if row.device else ""
        reason = _shorten("; ".join(filter(None, (row.reason, *row.notes, device, elsewhere))))
        if reason:
            told.setdefault((row.runtime, reason), []).append(row)
    lines = []
    for (runtime, reason), rows in told.items():
        others = [row for row in judged if row.runtime == runtime and row not in rows]
        where = _set_apart(rows, others) if others else ""
        lines.append(Text(f"{runtime}{where and f' ({where})'}: {reason}"))
    return lines


def _engine(row: ParityRow) -> str:
    return row.runtime if row.provider == "cpu" else f"{row.runtime} on {row.provider}"


def _settings_of(row: ParityRow) -> dict[str, str]:
    cells = _cells(row, counted="")
    return {name: str(cells[name]) for name in SETTINGS[2:]}


def _set_apart(rows: Sequence[ParityRow], others: Sequence[ParityRow]) -> str:
    """Return the setting that all the rows have and none of the others; else what varies, for each row."""
    settings, known = ([_settings_of(row) for row in part] for part in (rows, others))
    for name in SETTINGS[2:]:
        value = settings[0][name]
        if value and all(one[name] == value for one in settings) and all(one[name] != value for one in known):
            return f"{name} {value}"
    varying = [name for name in SETTINGS[2:] if len({one[name] for one in (*settings, *known)}) > 1]
    return "; ".join(", ".join(f"{name} {one[name]}" for name in varying if one[name]) for one in settings)


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
    sample, agreement = report.sample, report.agreement
    error = (
        "none that can be compared" if agreement.max_abs_logit_error is None else f"{agreement.max_abs_logit_error:.3g}"
    )
    place = f"{sample.suite} item {sample.index}, in its call of {len(sample.recording.reference.suites[0])}"
    verdict = "PASS" if report.passed else "FAIL" if agreement.failures else "UNDECIDED"
    return (
        f"{verdict} {sample.settings.runtime} {report.version} on {report.provider}: "
        f"{place}; largest error {error}, bound {agreement.bound:.3g}"
    )


def replay_table(report: ReplayReport) -> list[RowTable]:
    """Return for each output the reference, the answer and their difference at the sample."""
    return [_values_table(name, columns) for name, columns in report.values.items()]


def _values_table(name: str, columns: dict[str, list[float]]) -> RowTable:
    rows = list(zip(*columns.values(), strict=True))
    cells = [(str(index), *(f"{value:.6g}" for value in values)) for index, values in enumerate(rows[:MOST_VALUES])]
    if len(rows) > MOST_VALUES:
        cells.append(("...", *(f"{len(rows) - MOST_VALUES} more" for _ in columns)))
    header = ("", *columns)
    return make_table(header, cells, right=header, title=name)


def _cells(row: ParityRow, *, counted: str) -> dict[str, str | Text]:
    flips = f"{row.flips} ({row.flips_excused} excused)" if row.flips else "0"
    return {
        "": MARKS[row.status],
        "runtime": row.runtime,
        "provider": f"{row.provider} (fallback)" if row.fallback else mark_software(row.provider, row.device),
        "precision": row.precision,
        "threads": "" if row.provider == REMOTE else str(row.threads or "own"),
        "at once": str(row.runs_at_once) if row.provider == REMOTE else "",
        counted: f"{row.images:,}" if row.images else "",
        "max error": "" if row.max_abs_logit_error is None else f"{row.max_abs_logit_error:.2g}",
        "bound": "" if row.bound is None else f"{row.bound:.2g}",
        RATIO: "" if row.error_ratio is None else f"{row.error_ratio:.2f}",
        FLIPS: flips if row.images else "",
        "version": row.version or "",
        "optimisation": row.optimisation or "",
    }


def _shorten(words: str) -> str:
    return words if len(words) <= MOST_WORDS else words[:MOST_WORDS] + " ... (all in the report)"
