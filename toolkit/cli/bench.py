"""`toolkit bench`."""

from __future__ import annotations

__all__ = ["bench_command"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.artifacts import ArtifactStore, check_output
from toolkit.cli.context import announce_model, choose_model
from toolkit.cli.options import (
    AllowFallback,
    Batch,
    Force,
    Json,
    ModelPath,
    OutputPath,
    Providers,
    Runtimes,
    Threads,
    split_names,
    split_numbers,
)
from toolkit.cli.output import Output, note
from toolkit.cli.parity_options import InputsPath, Shapes, read_feed_config
from toolkit.durable import write_atomic, write_json
from toolkit.errors import CheckFailedError

if TYPE_CHECKING:
    from toolkit.bench.config import BenchConfig
    from toolkit.bench.report import BenchReport

Precisions = Annotated[
    str | None,
    typer.Option("--precision", help="Precisions, comma-separated; the file's own by default.", show_default=False),
]
Tf32 = Annotated[bool, typer.Option("--tf32", help="Let CUDA round float32 products to TF32; recorded in the rows.")]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", help="Most seconds counted for one row; 3.5 by default.", show_default=False),
]
CsvPath = Annotated[Path | None, typer.Option("--csv", help="Also write the rows as CSV.", show_default=False)]
SamplesPath = Annotated[
    Path | None, typer.Option("--samples", help="Also write every counted call as CSV.", show_default=False)
]


def bench_command(
    model: ModelPath = None,
    provider: Providers = "cpu",
    batch: Batch = None,
    threads: Threads = "0",
    runtime: Runtimes = "ort",
    precision: Precisions = None,
    inputs: InputsPath = None,
    shape: Shapes = None,
    tf32: Tf32 = False,
    seconds: Seconds = None,
    allow_fallback: AllowFallback = False,
    output: OutputPath = None,
    csv: CsvPath = None,
    samples: SamplesPath = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Measure latency and throughput of a model. Any .onnx file; each row in a process of its own."""
    from toolkit.bench.origin import find_origin_run
    from toolkit.bench.sweep import prepare_bench
    from toolkit.render_bench import render_bench
    from toolkit.runtimes.source import ModelSource

    store, console = ArtifactStore.default(), Output(as_json=as_json)
    config = _make_config(
        (seconds, inputs, shape),
        runtimes=split_names(runtime or "ort"),
        providers=split_names(provider or "cpu"),
        batches=None if batch is None else split_numbers(batch, option="--batch", least=1),
        threads=split_numbers(threads or "0", option="--threads", least=0),
        precisions=() if precision is None else split_names(precision),
        tf32=tf32,
        allow_fallback=allow_fallback,
    )
    path = choose_model(model, store=store)
    _check_free((output, csv, samples), force=force, model=path)
    source = ModelSource.read(path)
    source = replace(source, run=find_origin_run(source, store=store))
    prepared = prepare_bench(config, source, command=config.command_line(path))
    if model is None:
        announce_model(path, store=store)  # after the refusals, which are one line
    with console.progress("measuring", unit="rows") as bar:
        report = prepared.measure(progress=bar)
    target = output or store.new_file("reports", "bench", ".json")
    _write(report, target, csv, samples)
    console.report(report.to_json(), *render_bench(report))
    note(f"report: {target}")
    if report.failed:
        raise CheckFailedError(f"{len(report.failed)} of {len(report.rows)} rows failed: {report.failed[0].reason}")


def _make_config(read: tuple[float | None, Path | None, list[str] | None], **others: Any) -> BenchConfig:
    """Return the settings; `read` is what has to be read first: the seconds of a row, inputs, shapes."""
    from toolkit.bench.config import DEFAULT_PLAN, BenchConfig, plan_within

    seconds, inputs, shapes = read
    plan = DEFAULT_PLAN if seconds is None else plan_within(seconds)
    return BenchConfig(plan=plan, feeds=read_feed_config(inputs, shapes), inputs_path=inputs, **others)


def _check_free(outputs: tuple[Path | None, ...], *, force: bool, model: Path) -> None:
    for output in filter(None, outputs):
        check_output(output, force=force, inputs=(model,))


def _write(report: BenchReport, target: Path, rows: Path | None, samples: Path | None) -> None:
    from toolkit.bench.tables import rows_csv, samples_csv

    write_json(target, report.to_json())
    for path, text in ((rows, rows_csv), (samples, samples_csv)):
        if path is not None:
            write_atomic(path, text(report).encode())
