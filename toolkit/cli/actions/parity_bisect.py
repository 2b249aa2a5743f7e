"""`toolkit parity --bisect`: the first failed row taken apart, node by node."""

from __future__ import annotations

__all__ = ["bisect_report"]

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.output import note
from toolkit.errors import ModelError, ResourceError, ToolkitError
from toolkit.plain import to_plain
from toolkit.programs import run_program

if TYPE_CHECKING:
    from toolkit.onnx_file.source import ModelSource
    from toolkit.parity.diagnosis.bisect import Finding
    from toolkit.parity.report import ParityReport, WorstSample

EXPORT_TIMEOUT_S = 300
# A quantised file depends on images that were drawn for it: another one is not the same graph.
EXPORTED = ("fp32", "fp16")


def bisect_report(report: ParityReport, source: ModelSource) -> ParityReport:
    """Return the report with the first node whose output leaves the bound in its first failed row.

    A file that is not its run any more is laid beside a fresh export; an engine is held against float64.
    """
    worst = next((row.worst for row in report.rows if row.status == "fail" and row.worst is not None), None)
    if worst is None:
        note("--bisect: no failed row has a sample that could be run again")
        return report
    row = next(row for row in report.rows if row.worst is worst)
    note("looking for the first node that is wrong")
    try:
        is_of_file = any(cause.startswith("the file") for cause in row.causes)
        # Fewer bits than the file's are asked for in float32 files only; the row then names those.
        precision = row.precision if worst.settings.arithmetic == "fp32" else "fp32"
        finding = _bisect(worst, source, precision=precision, is_of_file=is_of_file)
    except ToolkitError as error:
        note(f"--bisect ends without an answer: {error}")
        return report
    return replace(report, bisect={"runtime": row.runtime, **to_plain(finding), "words": finding.describe()})


def _bisect(worst: WorstSample, source: ModelSource, *, precision: str, is_of_file: bool) -> Finding:
    from toolkit.parity.diagnosis.bisect import bisect_engine, bisect_file

    feeds, output = worst.expected.feeds, worst.failed_output
    if not is_of_file and worst.settings.arithmetic != "fp32":
        raise ModelError(
            f"{worst.settings.arithmetic} leaves float32's bound at its first product, and has none inside"
        )
    if not is_of_file:
        return bisect_engine(source, worst.settings, feeds, output=output, precision=precision)
    if source.run is None:
        raise ModelError("the file itself is wrong, and the run to lay it beside is not here")
    if precision not in EXPORTED:
        raise ModelError(f"the {precision} file itself is wrong; only {' and '.join(EXPORTED)} are exported again")
    with tempfile.TemporaryDirectory(prefix="toolkit-bisect-") as folder:
        fresh = _export_again(source.run, Path(folder), precision=precision)
        return bisect_file(source, fresh, feeds, output=output)


def _export_again(run: Path, folder: Path, *, precision: str) -> ModelSource:
    """Export a run in a process of its own, because this one does not load torch, into a folder of its own."""
    from toolkit.onnx_file.source import ModelSource

    target = folder / "fresh.onnx"
    command = [sys.executable, "-P", "-m", "toolkit", "export", str(run.resolve()), "--output", str(target)]
    if precision != "fp32":
        command += ["--precision", f"fp32,{precision}"]
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder / "artifacts")}
    if words := run_program(command, environment=environment, timeout_s=EXPORT_TIMEOUT_S):
        raise ResourceError(f"the run could not be exported again: {words[-1]}")
    return ModelSource.read(target if precision == "fp32" else target.with_suffix(f".{precision}.onnx"))
