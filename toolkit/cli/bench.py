"""`toolkit bench`."""

from __future__ import annotations

__all__ = ["bench_command"]

from toolkit.cli.bench_options import (
    Auto,
    BenchRuntimes,
    Boundary,
    CsvPath,
    CudaGraph,
    DeviceOption,
    Driver,
    Goal,
    IoBinding,
    MaxP99,
    PicturePath,
    Precisions,
    Rate,
    RequireAllNodes,
    SamplesPath,
    Scenario,
    Seconds,
    Streams,
    Tf32,
)
from toolkit.cli.bench_request import BenchRequest
from toolkit.cli.bench_steps import carry_out
from toolkit.cli.external_data import AllowExternalData, offer_external_data
from toolkit.cli.options import AllowFallback, Batch, Force, Json, ModelPath, OutputPath, Providers, Threads
from toolkit.cli.parity_options import InputsPath, Shapes, Values


@offer_external_data
def bench_command(
    model: ModelPath = None,
    provider: Providers = None,
    batch: Batch = None,
    threads: Threads = None,
    runtime: BenchRuntimes = None,
    precision: Precisions = None,
    scenario: Scenario = "single-stream",
    streams: Streams = 8,
    rate: Rate = None,
    driver: Driver = "toolkit",
    inputs: InputsPath = None,
    shape: Shapes = None,
    value: Values = None,
    seconds: Seconds = None,
    boundary: Boundary = "host",
    io_binding: IoBinding = "auto",
    cuda_graph: CudaGraph = False,
    device_option: DeviceOption = None,
    tf32: Tf32 = False,
    require_all_nodes: RequireAllNodes = False,
    allow_fallback: AllowFallback = False,
    allow_external_data: AllowExternalData = False,
    auto: Auto = False,
    goal: Goal = None,
    max_p99_ms: MaxP99 = None,
    output: OutputPath = None,
    picture: PicturePath = None,
    csv: CsvPath = None,
    samples: SamplesPath = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Measure latency and throughput of a model. Any .onnx file; variants take turns, each in a process of its own."""
    carry_out(BenchRequest(**locals()))  # every option has its field
