"""`toolkit bench`: its options, and the settings that follow."""

from __future__ import annotations

__all__ = ["BenchRequest", "bench_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.cli import options
from toolkit.cli.completion import BINDINGS, BOUNDARIES, DRIVERS, OBJECTIVES, SCENARIOS, engines, one_of, some_of
from toolkit.cli.context import choose_model
from toolkit.cli.options import command_of, option, options_for
from toolkit.cli.output import Output


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
        str, option("MLPerf's words: single-stream, multi-stream, server, offline.", complete=one_of(SCENARIOS))
    ] = "single-stream"
    streams: Annotated[int, option("multi-stream: calls that arrive together.")] = 8
    rate: Annotated[float | None, option("server: calls a second that arrive, at random; their wait counts.")] = None
    driver: Annotated[
        str, option("Who issues the calls: toolkit, or loadgen (MLPerf's own; an extra).", complete=one_of(DRIVERS))
    ] = "toolkit"
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
    max_p99_ms: Annotated[float | None, option("auto: 99 % of the calls have to answer within so long.")] = None
    output: options.OutputPath = None
    picture: Annotated[Path | None, option("Draw latency, throughput and distribution into this .png.")] = None
    csv: Annotated[Path | None, option("Also write the rows as CSV.")] = None
    samples: Annotated[Path | None, option("Also write every counted call as CSV.")] = None
    force: options.Force = False
    as_json: options.Json = False


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
