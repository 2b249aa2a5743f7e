"""`toolkit.benchmark`: latency and throughput of any `.onnx`."""

from __future__ import annotations

__all__ = ["benchmark"]

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.api.failures import in_callers_words
from toolkit.api.feeds import read_feeds
from toolkit.api.listener import Listener
from toolkit.api.subjects import find_model, held_output, write_report
from toolkit.api.words import Names, Numbers, name_runtimes, split_names, split_numbers, write_call
from toolkit.artifacts import ArtifactStore
from toolkit.bench.config import DEFAULT_PLAN, BenchConfig, plan_within
from toolkit.bench.sweep import prepare_bench
from toolkit.errors import UsageError
from toolkit.onnx_file.external_data import read_model
from toolkit.runs.origin import find_origin_run
from toolkit.runtimes.providers import DeviceOptions, parse_device_options

# What LoadGen issues where a server is asked and nobody says who is to.
LOADGEN_SCENARIOS = ("server", "offline", "capacity")

if TYPE_CHECKING:
    from toolkit.api.feeds import Inputs, Shapes, Values
    from toolkit.api.subjects import PathLike
    from toolkit.bench.auto import Goal
    from toolkit.bench.report import BenchReport
    from toolkit.onnx_file.source import ModelSource


@in_callers_words
def benchmark(
    model: PathLike,
    *,
    provider: Names | None = None,
    batch: Numbers | None = None,
    threads: Numbers = 0,
    runtime: Names | None = None,
    precision: Names | None = None,
    scenario: str = DEFAULT_PLAN.scenario,
    streams: int = DEFAULT_PLAN.streams,
    rate: float | None = None,
    driver: str | None = None,
    inputs: Inputs | None = None,
    shape: Shapes | None = None,
    value: Values | None = None,
    seconds: float | None = None,
    boundary: str = DEFAULT_PLAN.boundary,
    io_binding: Names = "auto",
    cuda_graph: bool = False,
    device_option: Mapping[str, object] | Iterable[str] | None = None,
    tf32: bool = False,
    require_all_nodes: bool = False,
    at: str | None = None,
    allow_fallback: bool = False,
    allow_external_data: bool = False,
    auto: bool = False,
    goal: str | None = None,
    max_p99_ms: float | None = None,
    output: PathLike | None = None,
    force: bool = False,
    listener: Listener | None = None,
) -> BenchReport:
    """Measure latency and throughput of a model; variants take turns, each in a process of its own.

    Args:
        model: any `.onnx` file, or what `toolkit.export` returned.
        provider: `"cpu,cuda"` or a list; `auto`, `all`; `cpu` by default.
        batch: batch sizes: 1, [1, 64]; 1, 32, 256 as far as their time allows by default.
        threads: thread counts; 0 is the engine's own choice.
        runtime: engines: `ort` (the default), `torch`, `openvino` ..., `all`.
        precision: `fp32`, `fp16`, `int8` (the files beside the model), `bf16`; its own by default.
        scenario: MLPerf's words: `single-stream`, `multi-stream`, `server`, `offline`; or `capacity`: the highest rate
            of `server` at which 99 % are answered within `max_p99_ms`.
        streams: multi-stream: calls that arrive together.
        rate: server: calls a second that arrive, at random.
        driver: who issues the calls: `toolkit`, or `loadgen`, which is the default where many at once are on their
            way to a server.
        inputs: for a file without a card: an `.npz`, or arrays by the inputs' names.
        shape: for a file without a card: whole shapes of inputs, `{"x": (2, 3)}`.
        value: for a file without a card: numbers of inputs, `{"rate": 16000}`.
        seconds: most seconds counted for one row; 3.5 by default.
        boundary: `host`: from host to host memory; `device`: inputs and outputs stay on the device.
        io_binding: on devices: `on`, `off`, or both; `on` by default.
        cuda_graph: on CUDA, capture each shape once and replay it; untested: no GPU has run it yet.
        device_option: `{"nhwc": True}` or `{"algorithm_search": "exhaustive"}`; untested, as `cuda_graph`.
        tf32: let CUDA round float32 products to TF32.
        require_all_nodes: refuse a model of which a provider leaves nodes to the CPU.
        at: URL of a server of the Open Inference Protocol, which `oip-http`, `oip-json` and `oip-grpc` ask.
        allow_fallback: go on with the CPU where a provider is not active, and mark every row.
        allow_external_data: trust the model: its weights may lie in files in its own folder.
        auto: search runtime, provider, threads and batch for the best settings.
        goal: auto: `latency` (the default) or `throughput`.
        max_p99_ms: auto and capacity: 99 % of the calls have to be answered within so long.
        output: where the report is written as JSON; nowhere by default.
        force: overwrite an output that exists.
        listener: hears how far it is.

    Returns:
        A row for each combination; `problem` says in words why it is not passed, and is empty where it is.

    Raises:
        UsageError: a word is unknown, the numbers make no sense, or there is no such file.
        ModelError: no variant accepts the model.
        DataError: the inputs cannot be read.
        ResourceError, ProviderError: something that was asked for by name is not here.
    """
    call, told = write_call(benchmark, locals()), listener or Listener()
    if auto and at:
        raise UsageError("--auto searches the engines of this machine, and --at asks a server; leave one of them out")
    is_capacity = scenario == "capacity"
    if not auto and (goal or (max_p99_ms is not None and not is_capacity)):
        raise UsageError("--goal and --max-p99-ms are what a search looks for; add --auto, or --scenario capacity")
    plan = replace(
        DEFAULT_PLAN,
        scenario=scenario,
        streams=streams,
        rate=rate,
        max_p99_ms=max_p99_ms if is_capacity else None,
        driver=driver or ("loadgen" if at and scenario in LOADGEN_SCENARIOS else DEFAULT_PLAN.driver),
        boundary=boundary,
    )
    store = ArtifactStore.default()
    config = BenchConfig(
        # A search looks everywhere; a sweep measures what is named.
        runtimes=name_runtimes(runtime, at=at, default="all" if auto else "ort") or (),
        providers=split_names(provider or ("all" if auto else "cpu")),
        batches=None if batch is None else split_numbers(batch, option="--batch", least=1),
        threads=split_numbers(threads, option="--threads", least=0),
        precisions=() if precision is None else split_names(precision),
        io_bindings=split_names(io_binding),
        tf32=tf32,
        device=_make_device_options(device_option, cuda_graph=cuda_graph),
        require_all_nodes=require_all_nodes,
        allow_fallback=allow_fallback,
        at=at or "",
        allow_external_data=allow_external_data,
        feeds=read_feeds(inputs, shape, values=value),
        plan=plan if seconds is None else plan_within(seconds, plan),
    )
    path = find_model(model, store=store)
    with held_output(output, force=force, inputs=(path,)) as target:
        source = read_model(path, allow_external_data=allow_external_data)
        source = replace(source, run=find_origin_run(source, store=store))
        wanted = _make_goal(goal, max_p99_ms) if auto else None
        report = _measure(config, source, goal=wanted, command=told.repeat(call), listener=told)
        write_report(target, report)
    return report


def _measure(
    config: BenchConfig, source: ModelSource, *, goal: Goal | None, command: str, listener: Listener
) -> BenchReport:
    if goal is not None:
        from toolkit.bench.auto import search_settings

        listener.accept()
        report = search_settings(config, goal, source=source, command=command, show=listener.progress)
        for line in report.notes:
            listener.note(line)
        return report
    prepared = prepare_bench(config, source, command=command, show=listener.progress)
    listener.accept()
    for line in prepared.notes:
        listener.note(line)
    return prepared.measure()


def _make_device_options(given: Mapping[str, object] | Iterable[str] | None, *, cuda_graph: bool) -> DeviceOptions:
    texts = [f"{key}={str(item).lower()}" for key, item in given.items()] if isinstance(given, Mapping) else given or []
    return parse_device_options([*texts], DeviceOptions(cuda_graph=cuda_graph))


def _make_goal(goal: str | None, max_p99_ms: float | None) -> Goal:
    from toolkit.bench.auto import DEFAULT_OBJECTIVE, Goal

    return Goal(objective=goal or DEFAULT_OBJECTIVE, max_p99_ms=max_p99_ms)
