"""`toolkit bench`: a sweep or a search, its files written, its tables shown."""

from __future__ import annotations

__all__ = ["BenchRequest", "bench_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.bench.report import BenchReport
from toolkit.cli import options
from toolkit.cli.completion import BINDINGS, BOUNDARIES, DRIVERS, OBJECTIVES, SCENARIOS, engines, one_of, some_of
from toolkit.cli.context import choose_model
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import command_of, option, options_for
from toolkit.cli.output import Output, draw_picture, note
from toolkit.durable import write_atomic
from toolkit.errors import CheckFailedError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """Measure latency and throughput of a model. Any .onnx file; variants take turns, each in a process of its own."""

    model: options.ModelPath = None
    provider: options.SearchedProviders = None
    batch: options.Batch = None
    threads: options.Threads = None
    runtime: Annotated[
        str | None,
        option(
            "Runtimes, comma-separated: ort, torch, torch-compile, openvino ... all.",
            default="ort; with --auto all",
            complete=some_of(engines),
        ),
    ] = None
    precision: Annotated[
        str | None,
        option(
            "Precisions, comma-separated: fp32, fp16, int8 (the files beside the model), bf16.",
            default="the model's own",
            complete=some_of(("fp32", "fp16", "int8", "bf16")),
        ),
    ] = None
    scenario: Annotated[
        str,
        option(
            "MLPerf's words: single-stream, multi-stream, server, offline; and capacity: the highest rate of server "
            "within --max-p99-ms.",
            complete=one_of(SCENARIOS),
        ),
    ] = "single-stream"
    streams: Annotated[int, option("multi-stream: calls that arrive together.")] = 8
    rate: Annotated[float | None, option("server: calls a second that arrive, at random; their wait counts.")] = None
    driver: Annotated[
        str | None,
        option(
            "Who issues the calls: toolkit, or loadgen (MLPerf's own; an extra).",
            default="toolkit; loadgen for server, offline and capacity with --at",
            complete=one_of(DRIVERS),
        ),
    ] = None
    inputs: options.InputsPath = None
    shape: options.Shapes = None
    value: options.Values = None
    seconds: Annotated[float | None, option("Most seconds counted for one row.", default="3.5")] = None
    boundary: Annotated[
        str,
        option(
            "host: from host to host memory; device: inputs and outputs stay on the device.",
            complete=one_of(BOUNDARIES),
        ),
    ] = "host"
    io_binding: Annotated[
        str,
        option(
            "Buffers that stay on a device: on, off, on,off for both, or auto: on where there is a device.",
            complete=some_of(BINDINGS),
        ),
    ] = "auto"
    cuda_graph: Annotated[
        bool, option("CUDA: capture each shape once and replay it. Untested: no GPU has run it.", "--cuda-graph")
    ] = False
    device_option: Annotated[
        list[str] | None,
        option("CUDA: nhwc=true, algorithm_search=exhaustive or default; repeatable. Untested, as --cuda-graph."),
    ] = None
    tf32: Annotated[bool, option("Let CUDA round float32 products to TF32; recorded in the rows.", "--tf32")] = False
    require_all_nodes: Annotated[
        bool, option("Refuse a model of which a provider leaves nodes to the CPU.", "--require-all-nodes")
    ] = False
    at: options.At = None
    allow_fallback: options.AllowFallback = False
    allow_external_data: options.AllowExternalData = False
    auto: Annotated[
        bool, option("Search runtime, provider, threads and batch for the best settings to use.", "--auto")
    ] = False
    goal: Annotated[
        str | None,
        option(
            "auto: latency (the lowest of a call) or throughput (the highest).",
            default="latency",
            complete=one_of(OBJECTIVES),
        ),
    ] = None
    max_p99_ms: Annotated[
        float | None, option("auto, capacity: 99 % of the calls have to be answered within so long.")
    ] = None
    output: options.OutputPath = None
    picture: Annotated[Path | None, option("Draw latency, throughput and distribution into this .png.")] = None
    csv: Annotated[Path | None, option("Also write the rows as CSV.")] = None
    samples: Annotated[Path | None, option("Also write every counted call as CSV.")] = None
    force: options.Force = False
    as_json: options.Json = False


def _carry_out(request: BenchRequest) -> None:
    """Measure, write what was asked for, show it.

    Raises:
        CheckFailedError: a row failed, or a search found nothing.
        KeyboardInterrupt: it was interrupted; what is finished is written.
    """
    store = ArtifactStore.default()
    path = choose_model(request.model, store=store)
    outputs = (request.output, request.picture, request.csv, request.samples)
    claim_outputs(*outputs, force=request.force, inputs=(path, request.inputs))
    from toolkit.api.benchmark import benchmark
    from toolkit.render.bench import render_bench

    output = Output(as_json=request.as_json)
    target = request.output or store.new_file("reports", "bench", suffix=".json")
    told = CommandListener(output, announced=path if request.model is None else None)
    report = benchmark(**options_for(benchmark, request) | {"model": path, "output": target, "listener": told})
    written = _write(report, request, target=target)
    output.report(report.to_json(), *render_bench(report))
    note(f"report: {written}")
    if report.is_interrupted:
        raise KeyboardInterrupt
    if report.problem:
        raise CheckFailedError(report.problem)


def _write(report: BenchReport, request: BenchRequest, *, target: Path) -> str:
    """Write every file beside the report and return where all lie, in one line."""
    from toolkit.bench.rows import rows_csv, samples_csv

    for path, text in ((request.csv, rows_csv), (request.samples, samples_csv)):
        if path is not None:
            write_atomic(path, text(report).encode())
    picture = request.picture
    if picture is not None:
        from toolkit.plots.bench import draw_bench

        picture = picture if draw_picture(picture, lambda: draw_bench([report.to_json()])) else None
    return ", ".join(str(path) for path in (target, picture, request.csv, request.samples) if path is not None)


bench_command = command_of(BenchRequest, _carry_out)
