"""`toolkit bench`: its options, and the settings that follow."""

from __future__ import annotations

__all__ = ["BenchRequest", "bench_command", "make_config"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.cli.completion import engines, some_of
from toolkit.cli.context import choose_model
from toolkit.cli.feed_options import InputsPath, Shapes, Values, read_feed_config
from toolkit.cli.options import (
    AllowExternalData,
    AllowFallback,
    Batch,
    Force,
    Json,
    ModelPath,
    OutputPath,
    Providers,
    Threads,
    command_of,
    offer_external_data,
    split_names,
    split_numbers,
)
from toolkit.cli.output import Output
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.bench.auto import Goal
    from toolkit.bench.config import BenchConfig
    from toolkit.runtimes.providers import DeviceOptions
    from toolkit.runtimes.timing.plan import MeasurePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """Measure latency and throughput of a model. Any .onnx file; variants take turns, each in a process of its own."""

    model: ModelPath = None
    provider: Providers = None
    batch: Batch = None
    threads: Threads = None
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            help="Runtimes, comma-separated: ort, torch, torch-compile, openvino ... all; ort by default.",
            autocompletion=some_of(engines),
        ),
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="Precisions, comma-separated: fp32, fp16, int8 (the files beside the model), bf16; its own by "
            "default.",
        ),
    ] = None
    scenario: Annotated[
        str,
        typer.Option("--scenario", help="MLPerf's words: single-stream, multi-stream, server, offline."),
    ] = "single-stream"
    streams: Annotated[int, typer.Option("--streams", help="multi-stream: calls that arrive together.")] = 8
    rate: Annotated[
        float | None, typer.Option("--rate", help="server: calls a second that arrive, at random; their wait counts.")
    ] = None
    driver: Annotated[
        str, typer.Option("--driver", help="Who issues the calls: toolkit, or loadgen (MLPerf's own; an extra).")
    ] = "toolkit"
    inputs: InputsPath = None
    shape: Shapes = None
    value: Values = None
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Most seconds counted for one row; 3.5 by default.")
    ] = None
    boundary: Annotated[
        str,
        typer.Option(
            "--boundary", help="host: from host to host memory; device: inputs and outputs stay on the device."
        ),
    ] = "host"
    io_binding: Annotated[
        str, typer.Option("--io-binding", help="On devices: on, off, or on,off for both; on by default.")
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
    allow_fallback: AllowFallback = False
    allow_external_data: AllowExternalData = False
    auto: Annotated[
        bool, typer.Option("--auto", help="Search runtime, provider, threads and batch for the best settings to use.")
    ] = False
    goal: Annotated[
        str | None,
        typer.Option("--goal", help="auto: latency (the lowest of a call, the default) or throughput (the highest)."),
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


def make_config(request: BenchRequest, store: ArtifactStore) -> BenchConfig:
    """Return the settings of the sweep.

    Raises:
        UsageError: a word is unknown, or the numbers make no sense.
        DataError: the inputs cannot be read.
    """
    from toolkit.bench.config import BenchConfig

    if not request.auto and (request.goal or request.max_p99_ms is not None):
        raise UsageError("--goal and --max-p99-ms are what a search looks for; add --auto")
    # A search looks everywhere; a sweep measures what is named.
    everything = "all" if request.auto else None
    return BenchConfig(
        runtimes=split_names(request.runtime or everything or "ort"),
        providers=split_names(request.provider or everything or "cpu"),
        batches=None if request.batch is None else split_numbers(request.batch, option="--batch", least=1),
        threads=split_numbers(request.threads or "0", option="--threads", least=0),
        precisions=() if request.precision is None else split_names(request.precision),
        io_bindings=split_names(request.io_binding),
        tf32=request.tf32,
        device=_make_device_options(request, store),
        require_all_nodes=request.require_all_nodes,
        allow_fallback=request.allow_fallback,
        allow_external_data=request.allow_external_data,
        feeds=read_feed_config(request.inputs, request.shape, values=request.value),
        plan=_make_plan(request),
    )


def _make_plan(request: BenchRequest) -> MeasurePlan:
    from toolkit.bench.config import DEFAULT_PLAN, plan_within

    plan = replace(
        DEFAULT_PLAN,
        scenario=request.scenario,
        streams=request.streams,
        rate=request.rate,
        driver=request.driver,
        boundary=request.boundary,
    )
    return plan if request.seconds is None else plan_within(request.seconds, plan)


def _make_device_options(request: BenchRequest, store: ArtifactStore) -> DeviceOptions:
    from toolkit.runtimes.providers import DeviceOptions, parse_device_options

    # TensorRT keeps its engines and timings under the artifacts.
    cache = str((store.root / "runtimes" / "tensorrt").resolve())
    return parse_device_options(request.device_option or [], DeviceOptions(cuda_graph=request.cuda_graph, cache=cache))


def _carry_out(request: BenchRequest) -> None:
    store = ArtifactStore.default()
    config = make_config(request, store)
    path = choose_model(request.model, store=store)
    outputs = (request.output, request.picture, request.csv, request.samples)
    claim_outputs(*outputs, force=request.force, inputs=(path, request.inputs))
    from toolkit.cli.actions.bench import BenchFiles, bench_and_report

    bench_and_report(
        path,
        config,
        goal=_make_goal(request) if request.auto else None,
        files=BenchFiles(report=request.output, picture=request.picture, csv=request.csv, samples=request.samples),
        is_latest=request.model is None,
        output=Output(as_json=request.as_json),
    )


def _make_goal(request: BenchRequest) -> Goal:
    from toolkit.bench.auto import DEFAULT_OBJECTIVE, Goal

    return Goal(objective=request.goal or DEFAULT_OBJECTIVE, max_p99_ms=request.max_p99_ms)


bench_command = offer_external_data(command_of(BenchRequest, _carry_out))
