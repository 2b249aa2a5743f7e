"""The options of `toolkit bench`, and the settings that they make."""

from __future__ import annotations

__all__ = [
    "Auto",
    "BenchRuntimes",
    "Boundary",
    "CsvPath",
    "CudaGraph",
    "DeviceOption",
    "Driver",
    "Goal",
    "IoBinding",
    "MaxP99",
    "PicturePath",
    "Precisions",
    "Rate",
    "RequireAllNodes",
    "SamplesPath",
    "Scenario",
    "Seconds",
    "Streams",
    "Tf32",
]

from pathlib import Path
from typing import Annotated

import typer

BenchRuntimes = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        help="Runtimes, comma-separated: ort, torch, torch-compile, openvino ... all; ort by default.",
        show_default=False,
    ),
]
Precisions = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Precisions, comma-separated: fp32, fp16, int8 (the files beside the model), bf16; its own by default.",
        show_default=False,
    ),
]
Scenario = Annotated[
    str,
    typer.Option("--scenario", help="MLPerf's words: single-stream, multi-stream, server, offline."),
]
Streams = Annotated[int, typer.Option("--streams", help="multi-stream: calls that arrive together.")]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", help="server: calls a second that arrive, at random; their wait counts.", show_default=False
    ),
]
Driver = Annotated[
    str, typer.Option("--driver", help="Who issues the calls: toolkit, or loadgen (MLPerf's own; an extra).")
]
Boundary = Annotated[
    str,
    typer.Option("--boundary", help="host: from host to host memory; device: inputs and outputs stay on the device."),
]
IoBinding = Annotated[str, typer.Option("--io-binding", help="On devices: on, off, or on,off for both; on by default.")]
CudaGraph = Annotated[bool, typer.Option("--cuda-graph", help="Capture each shape once and replay it.")]
DeviceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device-option",
        help="nhwc=true, algorithm_search=exhaustive, arena=same-as-requested, memory_limit_mib=4096 ...; repeatable.",
        show_default=False,
    ),
]
RequireAllNodes = Annotated[
    bool, typer.Option("--require-all-nodes", help="Refuse a model of which a provider leaves nodes to the CPU.")
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
PicturePath = Annotated[
    Path | None,
    typer.Option("--picture", help="Draw latency, throughput and distribution into this .png.", show_default=False),
]
Auto = Annotated[
    bool, typer.Option("--auto", help="Search runtime, provider, threads and batch for the best settings to use.")
]
Goal = Annotated[
    str | None,
    typer.Option(
        "--goal",
        help="auto: latency (the lowest of a call, the default) or throughput (the highest).",
        show_default=False,
    ),
]
MaxP99 = Annotated[
    float | None,
    typer.Option("--max-p99-ms", help="auto: 99 % of the calls have to answer within so long.", show_default=False),
]
