"""Everything that was asked of `toolkit bench`, and the settings that follow."""

from __future__ import annotations

__all__ = ["BenchRequest", "make_config"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.options import split_names, split_numbers
from toolkit.cli.parity_options import read_feed_config
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.bench.config import BenchConfig
    from toolkit.runtimes.device_options import DeviceOptions
    from toolkit.runtimes.measure_plan import MeasurePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """One field for each option, by its name; their help texts say what they mean. None is: not given."""

    model: Path | None
    provider: str | None
    batch: str | None
    threads: str | None
    runtime: str | None
    precision: str | None
    scenario: str
    streams: int
    rate: float | None
    driver: str
    inputs: Path | None
    shape: list[str] | None
    value: list[str] | None
    seconds: float | None
    boundary: str
    io_binding: str
    cuda_graph: bool
    device_option: list[str] | None
    tf32: bool
    require_all_nodes: bool
    allow_fallback: bool
    allow_external_data: bool
    auto: bool
    goal: str | None
    max_p99_ms: float | None
    output: Path | None
    picture: Path | None
    csv: Path | None
    samples: Path | None
    force: bool
    as_json: bool


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
        feeds=read_feed_config(request.inputs, request.shape, request.value),
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
    from toolkit.runtimes.device_options import DeviceOptions, parse_device_options

    # TensorRT keeps its engines and timings under the artifacts.
    cache = str((store.root / "runtimes" / "tensorrt").resolve())
    return parse_device_options(request.device_option or [], DeviceOptions(cuda_graph=request.cuda_graph, cache=cache))
