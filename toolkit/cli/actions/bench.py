"""`toolkit bench`: a sweep or a search carried out, its files written, its tables shown."""

from __future__ import annotations

__all__ = ["BenchFiles", "bench_and_report"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifacts import ArtifactStore
from toolkit.bench.sweep import prepare_bench
from toolkit.cli.context import announce_model
from toolkit.cli.output import Output, draw_picture, note, repeat_command
from toolkit.durable import write_atomic, write_json
from toolkit.errors import CheckFailedError
from toolkit.onnx_file.external_data import read_model
from toolkit.render.bench import render_bench
from toolkit.runs.origin import find_origin_run

if TYPE_CHECKING:
    from toolkit.bench.auto import Goal
    from toolkit.bench.config import BenchConfig
    from toolkit.bench.report import BenchReport
    from toolkit.onnx_file.source import ModelSource


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
    path: Path, config: BenchConfig, *, goal: Goal | None, files: BenchFiles, is_latest: bool, output: Output
) -> None:
    """Measure, write what was asked for, show it.

    Args:
        path: the model.
        config: what is measured.
        goal: of a search; None: a sweep.
        files: where it is written.
        is_latest: whether nobody named the model, so that it is said which one it is.
        output: where it is shown.

    Raises:
        CheckFailedError: a row failed, or a search found nothing.
        KeyboardInterrupt: it was interrupted; what is finished is written.
    """
    store = ArtifactStore.default()
    source = read_model(path, allow_external_data=config.allow_external_data)
    source = replace(source, run=find_origin_run(source, store=store))
    announced = store if is_latest else None
    if goal is None:
        report = _sweep(source, config, announced=announced, output=output)
    else:
        report = _search(source, config, goal=goal, announced=announced, output=output)
    written = _write(report, files, target=files.report or store.new_file("reports", "bench", suffix=".json"))
    output.report(report.to_json(), *render_bench(report))
    note(f"report: {written}")
    if report.is_interrupted:
        raise KeyboardInterrupt
    if report.problem:
        raise CheckFailedError(report.problem)


def _sweep(source: ModelSource, config: BenchConfig, *, announced: ArtifactStore | None, output: Output) -> BenchReport:
    prepared = prepare_bench(config, source, command=repeat_command(), show=output.progress)
    if announced is not None:
        announce_model(source.path, store=announced)  # after the refusals, which are one line
    for line in prepared.notes:
        note(line)
    return prepared.measure()


def _search(
    source: ModelSource, config: BenchConfig, *, goal: Goal, announced: ArtifactStore | None, output: Output
) -> BenchReport:
    from toolkit.bench.auto import search_settings

    if announced is not None:
        announce_model(source.path, store=announced)
    report = search_settings(config, goal, source=source, command=repeat_command(), show=output.progress)
    for line in report.notes:
        note(line)
    return report


def _write(report: BenchReport, files: BenchFiles, *, target: Path) -> str:
    """Write every file and return where they lie, in one line."""
    from toolkit.bench.rows import rows_csv, samples_csv

    write_json(target, report.to_json())
    for path, text in ((files.csv, rows_csv), (files.samples, samples_csv)):
        if path is not None:
            write_atomic(path, text(report).encode())
    picture = files.picture
    if picture is not None:
        from toolkit.plots.bench import draw_bench

        picture = picture if draw_picture(picture, lambda: draw_bench([report.to_json()])) else None
    return ", ".join(str(path) for path in (target, picture, files.csv, files.samples) if path is not None)
