"""`toolkit bench`: a sweep or a search carried out, its files written, its tables shown."""

from __future__ import annotations

__all__ = ["BenchFiles", "bench_and_report"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.api.benchmark import benchmark
from toolkit.artifacts import ArtifactStore
from toolkit.cli.hearing import CommandListener
from toolkit.cli.output import Output, draw_picture, note
from toolkit.durable import write_atomic
from toolkit.errors import CheckFailedError
from toolkit.render.bench import render_bench

if TYPE_CHECKING:
    from toolkit.bench.report import BenchReport


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFiles:
    """Where a benchmark is written.

    Attributes:
        report: as JSON; a new file by default.
        picture: of latencies, throughput and distribution, a `.png`.
        csv: the rows.
        samples: every counted call, as CSV.
    """

    report: Path | None = None
    picture: Path | None = None
    csv: Path | None = None
    samples: Path | None = None


def bench_and_report(
    path: Path, options: dict[str, Any], *, files: BenchFiles, is_latest: bool, output: Output
) -> None:
    """Measure, write what was asked for, show it.

    Args:
        path: the model.
        options: what is measured, as `toolkit.benchmark` takes it.
        files: where it is written.
        is_latest: whether nobody named the model, so that it is said which one it is.
        output: where it is shown.

    Raises:
        CheckFailedError: a row failed, or a search found nothing.
        KeyboardInterrupt: it was interrupted; what is finished is written.
    """
    target = files.report or ArtifactStore.default().new_file("reports", "bench", suffix=".json")
    told = CommandListener(output, announced=path if is_latest else None)
    report = benchmark(**options | {"model": path, "output": target, "listener": told})
    written = _write(report, files, target=target)
    output.report(report.to_json(), *render_bench(report))
    note(f"report: {written}")
    if report.is_interrupted:
        raise KeyboardInterrupt
    if report.problem:
        raise CheckFailedError(report.problem)


def _write(report: BenchReport, files: BenchFiles, *, target: Path) -> str:
    """Write every file beside the report and return where all lie, in one line."""
    from toolkit.bench.rows import rows_csv, samples_csv

    for path, text in ((files.csv, rows_csv), (files.samples, samples_csv)):
        if path is not None:
            write_atomic(path, text(report).encode())
    picture = files.picture
    if picture is not None:
        from toolkit.plots.bench import draw_bench

        picture = picture if draw_picture(picture, lambda: draw_bench([report.to_json()])) else None
    return ", ".join(str(path) for path in (target, picture, files.csv, files.samples) if path is not None)
