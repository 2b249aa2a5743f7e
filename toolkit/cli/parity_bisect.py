"""`toolkit parity --bisect`: the first failed row taken apart, node by node."""

from __future__ import annotations

__all__ = ["bisect_report"]

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.output import note
from toolkit.errors import ModelError, ResourceError, ToolkitError

if TYPE_CHECKING:
    from toolkit.parity.bisect import Finding
    from toolkit.parity.report import ParityReport
    from toolkit.parity.worst import WorstSample
    from toolkit.runtimes.source import ModelSource

EXPORT_TIMEOUT_S = 300


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
        finding = _bisect(worst, source, of_file=any(cause.startswith("the file") for cause in row.causes))
    except ToolkitError as error:
        note(f"--bisect ends without an answer: {error}")
        return report
    return replace(report, bisect={"runtime": row.runtime, **finding.to_json(), "words": finding.describe()})


def _bisect(worst: WorstSample, source: ModelSource, *, of_file: bool) -> Finding:
    from toolkit.parity.bisect import bisect_engine, bisect_file

    feeds, output = worst.feeds, worst.failed_output
    if not of_file:
        return bisect_engine(source, worst.settings, feeds, output=output)
    if source.run is None:
        raise ModelError("the file itself is wrong, and the run to lay it beside is not here")
    with tempfile.TemporaryDirectory(prefix="toolkit-bisect-") as folder:
        return bisect_file(source, _export_again(source.run, Path(folder)), feeds, output=output)


def _export_again(run: Path, folder: Path) -> ModelSource:
    """Export a run in a process of its own, because this one does not load torch, into a folder of its own."""
    from toolkit.runtimes.source import ModelSource

    target = folder / "fresh.onnx"
    command = [sys.executable, "-m", "toolkit", "export", str(run.resolve()), "--output", str(target)]
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder / "artifacts")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=EXPORT_TIMEOUT_S
    )
    if done.returncode:
        words = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ResourceError(f"the run could not be exported again: {words}")
    return ModelSource.read(target)
