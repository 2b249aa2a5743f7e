"""`toolkit bench`: its options, and the settings that follow."""

from __future__ import annotations

__all__ = ["BenchRequest", "bench_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.cli.completion import BINDINGS, BOUNDARIES, DRIVERS, OBJECTIVES, SCENARIOS, engines, one_of, some_of
from toolkit.cli.context import choose_model
from toolkit.cli.feed_options import InputsPath, Shapes, Values
from toolkit.cli.options import (
    AllowExternalData,
    AllowFallback,
    At,
    Batch,
    Force,
    Json,
    ModelPath,
    OutputPath,
    SearchedProviders,
    Threads,
    command_of,
    options_for,
)
from toolkit.cli.output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """Measure latency and throughput of a model. Any .onnx file; variants take turns, each in a process of its own."""

    model: ModelPath = None
    provider: SearchedProviders = None
    batch: Batch = None
    threads: Threads = None
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            help="Runtimes, comma-separated: ort, torch, torch-compile, openvino ... all.",
            show_default="ort; with --auto all",
            autocompletion=some_of(engines),
        ),
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="Precisions, comma-separated: fp32, fp16, int8 (the files beside the model), bf16.",
            show_default="the model's own",
            autocompletion=some_of(("fp32", "fp16", "int8", "bf16")),
        ),
    ] = None
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            help="MLPerf's words: single-stream, multi-stream, server, offline.",
            autocompletion=one_of(SCENARIOS),
        ),
    ] = "single-stream"
    streams: Annotated[int, typer.Option("--streams", help="multi-stream: calls that arrive together.")] = 8
    rate: Annotated[
        float | None, typer.Option("--rate", help="server: calls a second that arrive, at random; their wait counts.")
    ] = None
    driver: Annotated[
        str,
        typer.Option(
            "--driver",
            help="Who issues the calls: toolkit, or loadgen (MLPerf's own; an extra).",
            autocompletion=one_of(DRIVERS),
        ),
    ] = "toolkit"
    inputs: InputsPath = None
    shape: Shapes = None
    value: Values = None
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Most seconds counted for one row.", show_default="3.5")
    ] = None
    boundary: Annotated[
        str,
        typer.Option(
            "--boundary",
            help="host: from host to host memory; device: inputs and outputs stay on the device.",
            autocompletion=one_of(BOUNDARIES),
        ),
    ] = "host"
    io_binding: Annotated[
        str,
        typer.Option(
            "--io-binding",
            help="Buffers that stay on a device: on, off, on,off for both, or auto: on where there is a device.",
            autocompletion=some_of(BINDINGS),
        ),
    ] = "auto"
    cuda_graph: Annotated[bool, typer.Option("--cuda-graph", help="Capture each shape once and replay it.")] = False
    device_option: Annotated[
        list[str] | None,
        typer.Option(
            "--device-option",
            help="nhwc=true, algorithm_search=exhaustive, arena=same-as-requested, memory_limit_mib=4096 ...; "
            "repeatable.",
        ),
    ] = None
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let CUDA round float32 products to TF32; recorded in the rows.")
    ] = False
    require_all_nodes: Annotated[
        bool, typer.Option("--require-all-nodes", help="Refuse a model of which a provider leaves nodes to the CPU.")
    ] = False
    at: At = None
    allow_fallback: AllowFallback = False
    allow_external_data: AllowExternalData = False
    auto: Annotated[
        bool, typer.Option("--auto", help="Search runtime, provider, threads and batch for the best settings to use.")
    ] = False
    goal: Annotated[
        str | None,
        typer.Option(
            "--goal",
            help="auto: latency (the lowest of a call) or throughput (the highest).",
            show_default="latency",
            autocompletion=one_of(OBJECTIVES),
        ),
    ] = None
    max_p99_ms: Annotated[
        float | None, typer.Option("--max-p99-ms", help="auto: 99 % of the calls have to answer within so long.")
    ] = None
    output: OutputPath = None
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw latency, throughput and distribution into this .png.")
    ] = None
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the rows as CSV.")] = None
    samples: Annotated[Path | None, typer.Option("--samples", help="Also write every counted call as CSV.")] = None
    force: Force = False
    as_json: Json = False


def _carry_out(request: BenchRequest) -> None:
    path = choose_model(request.model, store=ArtifactStore.default())
    outputs = (request.output, request.picture, request.csv, request.samples)
    claim_outputs(*outputs, force=request.force, inputs=(path, request.inputs))
    from toolkit.api.benchmark import benchmark
    from toolkit.cli.actions.bench import BenchFiles, bench_and_report

    bench_and_report(
        path,
        options_for(benchmark, request),
        files=BenchFiles(report=request.output, picture=request.picture, csv=request.csv, samples=request.samples),
        is_latest=request.model is None,
        output=Output(as_json=request.as_json),
    )


bench_command = command_of(BenchRequest, _carry_out)
