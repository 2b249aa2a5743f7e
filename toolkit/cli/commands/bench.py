"""`toolkit bench`: what it does between its options and its table."""

from __future__ import annotations

__all__ = ["bench_command"]

from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.bench_request import BenchRequest, make_config
from toolkit.cli.context import announce_model, choose_model
from toolkit.cli.options import command_of, offer_external_data
from toolkit.cli.output import Output, draw_picture, note, repeat_command
from toolkit.durable import write_atomic, write_json
from toolkit.errors import CheckFailedError
from toolkit.outputs import claim_outputs

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.bench.config import BenchConfig
    from toolkit.bench.report import BenchReport
    from toolkit.onnx_file.source import ModelSource


def _carry_out(request: BenchRequest) -> None:
    """Measure, write what was asked for, show it."""
    from toolkit.render.bench import render_bench

    store, console = ArtifactStore.default(), Output(as_json=request.as_json)
    config = make_config(request, store)
    path = choose_model(request.model, store=store)
    outputs = (request.output, request.picture, request.csv, request.samples)
    claim_outputs(*outputs, force=request.force, inputs=(path, request.inputs))
    source = _read(path, config, store)
    report = (_search if request.auto else _sweep)(request, config, source, store=store, console=console)
    written = _write(report, request, request.output or store.new_file("reports", "bench", suffix=".json"))
    console.report(report.to_json(), *render_bench(report))
    note(f"report: {written}")
    if report.is_interrupted:
        raise KeyboardInterrupt
    if report.problem:
        raise CheckFailedError(report.problem)


def _read(path: Path, config: BenchConfig, store: ArtifactStore) -> ModelSource:
    from toolkit.onnx_file.external_data import read_model
    from toolkit.runs.origin import find_origin_run

    source = read_model(path, allow_external_data=config.allow_external_data)
    return replace(source, run=find_origin_run(source, store=store))


def _sweep(
    request: BenchRequest, config: BenchConfig, source: ModelSource, *, store: ArtifactStore, console: Output
) -> BenchReport:
    from toolkit.bench.sweep import prepare_bench

    prepared = prepare_bench(config, source, command=repeat_command())
    if request.model is None:
        announce_model(source.path, store=store)  # after the refusals, which are one line
    for line in prepared.notes:
        note(line)
    with console.progress("measuring", unit="rows") as bar:
        return prepared.measure(progress=bar)


def _search(
    request: BenchRequest, config: BenchConfig, source: ModelSource, *, store: ArtifactStore, console: Output
) -> BenchReport:
    from toolkit.bench.auto import DEFAULT_OBJECTIVE, Goal, search_settings

    goal = Goal(objective=request.goal or DEFAULT_OBJECTIVE, max_p99_ms=request.max_p99_ms)
    if request.model is None:
        announce_model(source.path, store=store)
    with console.progress("searching", unit="rows") as bar:
        report = search_settings(config, goal, source=source, command=repeat_command(), progress=bar)
    for line in report.notes:
        note(line)
    return report


def _write(report: BenchReport, request: BenchRequest, target: Path) -> str:
    from toolkit.bench.rows import rows_csv, samples_csv

    write_json(target, report.to_json())
    for path, text in ((request.csv, rows_csv), (request.samples, samples_csv)):
        if path is not None:
            write_atomic(path, text(report).encode())
    picture = request.picture
    if picture is not None:
        from toolkit.plots.bench import draw_bench

        picture = picture if draw_picture(picture, lambda: draw_bench([report.to_json()])) else None
    return ", ".join(str(path) for path in (target, picture, request.csv, request.samples) if path is not None)


bench_command = offer_external_data(command_of(BenchRequest, _carry_out))
