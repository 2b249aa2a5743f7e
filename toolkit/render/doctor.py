"""What works here: the doctor's report with its mends, and the runtimes that are installed."""

from __future__ import annotations

__all__ = ["render_doctor", "runtimes_table"]

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from toolkit.nvidia import JOINT
from toolkit.render.tables import make_table

if TYPE_CHECKING:
    from toolkit.doctor.report import DoctorReport, DoctorRow
    from toolkit.runtimes.installed import RuntimeRow

STYLES = {"pass": "green", "absent": "yellow", "fail": "bold red"}
MARKS = {True: "yes", False: "no", None: ""}


def render_doctor(report: DoctorReport) -> list[RenderableType]:
    """Return the machine in a line, a table with one row for each thing examined, and how to mend what is not there."""
    header = ("what", "version", "status", "opens", "convolution", "nodes placed")
    table = make_table(header, map(_cells, report.rows), framed=True, title=_machine(report))
    # Text, not markup: a mend holds square brackets, such as onnxruntime-gpu[cuda,cudnn].
    return [table, *map(Text, _notes([row for row in report.rows if row.status != "pass"]))]


def runtimes_table(rows: Iterable[RuntimeRow]) -> Table:
    """Return one row for each runtime: its version, or the command that brings it."""
    header = ("runtime", "installed", "executes", "runs on", "what brings it")
    return make_table(header, map(_runtime_cells, rows), folded={"what brings it"})


def _machine(report: DoctorReport) -> str:
    cpu = report.environment["cpu"]
    gpus = ", ".join(str(gpu["name"]) for gpu in report.environment["gpus"] or []) or "no GPU"
    return f"{cpu['model'] or 'unknown CPU'}, {cpu['logical_cores']} cores, {gpus}"


def _cells(row: DoctorRow) -> list[Text]:
    placed = ", ".join(f"{count} on {name}" for name, count in row.placement.items())
    status = Text(row.status.upper() if row.status == "fail" else row.status, style=STYLES[row.status])
    words = [row.name, row.version or "not installed" if row.kind != "gpu" else row.version or "none"]
    return [*(Text(word) for word in words), status, Text(MARKS[row.opens]), Text(MARKS[row.runs]), Text(placed)]


def _notes(rows: list[DoctorRow]) -> list[str]:
    """Return each cause once, and under them each remedy once, with all that it mends."""
    causes = [f"{row.name}: {row.reason}" for row in rows if not _is_told_by_another(row, rows)]
    remedies: dict[str, list[str]] = {}
    for row in rows:
        for part in filter(None, row.mend.split(JOINT)):
            remedies.setdefault(part, []).append(row.name)
    return [*causes, *(f"    mend: {part}    [{', '.join(names)}]" for part, names in remedies.items())]


def _is_told_by_another(row: DoctorRow, rows: list[DoctorRow]) -> bool:
    return any(row.reason in other.reason and row.reason != other.reason for other in rows)


def _runtime_cells(row: RuntimeRow) -> tuple[str | Text, ...]:
    brought_by = f"{row.distribution} {row.version}" if row.distribution else "installed, version unknown"
    found = Text(brought_by) if row.installed else Text("not installed", "yellow")
    executes = f"{row.executes} (a reference)" if row.is_reference else row.executes
    # Text, not markup: a command holds square brackets.
    return row.runtime, found, executes, ", ".join(row.devices), Text("" if row.installed else row.install)
