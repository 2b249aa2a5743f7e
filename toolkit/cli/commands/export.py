"""`toolkit export`."""

from __future__ import annotations

__all__ = ["export_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.completion import kits, one_of, runs_or_models, some_of
from toolkit.cli.options import DataName, Force, Json, command_of, option, options_for
from toolkit.cli.output import Output
from toolkit.errors import UsageError
from toolkit.exporting.config import EXPORTED_PRECISIONS, GOLDEN_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Write a run as one self-contained .onnx. With its card, and proven before it is put in place."""

    run: Annotated[
        Path | None,
        typer.Argument(
            help="A run folder or a run's name, with @12 or @best for a kept checkpoint. With --kit also an .onnx "
            "that is there already.",
            show_default="the latest run",
            autocompletion=runs_or_models,
        ),
    ] = None
    name: Annotated[
        str | None, option("The model's name; also what kits are called.", default="the run's, of kits the data set's")
    ] = None
    output: Annotated[
        Path | None, option("Where to write.", "--output", "-o", default="models/NAME.onnx under artifacts")
    ] = None
    precision: Annotated[
        str,
        option("fp32, which is always made; fp16 and int8 are derived from it.", complete=some_of(EXPORTED_PRECISIONS)),
    ] = "fp32"
    calibration: Annotated[int, option("Training images that int8 is calibrated on.")] = 1_000
    cross_check: Annotated[
        bool, option("Also write with torch's other exporter and require equal answers.", "--cross-check")
    ] = False
    golden: Annotated[
        str | None,
        option(
            "Golden vectors: data, synthetic, none.",
            default="data for catalogue sets, synthetic for your own",
            complete=one_of(GOLDEN_KINDS),
        ),
    ] = None
    kit: Annotated[
        str | None,
        option(
            "Also write kits: python, node, web, c, cpp, triton, or all: those that can be made here.",
            complete=some_of(kits),
        ),
    ] = None
    webgpu: Annotated[bool, option("The web kit carries the larger build with WebGPU.", "--webgpu")] = False
    kit_provider: Annotated[
        str, option("Where kits check themselves, strictly: cpu or cuda.", complete=one_of(("cpu", "cuda")))
    ] = "cpu"
    check: Annotated[bool, option("A kit's self-check that cannot run here is an error, not a warning.", "--check")] = (
        False
    )
    data: DataName = None
    author: Annotated[str, option("Written into the card.", envvar="TOOLKIT_AUTHOR")] = "unspecified"
    licence: Annotated[str, option("SPDX identifier, written into the card.", envvar="TOOLKIT_LICENCE")] = "NOASSERTION"
    force: Force = False
    as_json: Json = False


def _carry_out(request: ExportRequest) -> None:
    from toolkit.api.export import export
    from toolkit.cli.actions.export import export_and_show, export_kits

    output, store = Output(as_json=request.as_json), ArtifactStore.default()
    if request.check and request.kit is None:
        raise UsageError("--check is about kits; name some with --kit")
    options, run = options_for(export, request), request.run
    if run is None or run.suffix != ".onnx":
        export_and_show(run, options, check=request.check, store=store, output=output)
        return
    if request.output is not None or request.precision != "fp32":
        raise UsageError("--output and --precision are for runs; kits of a model lie in artifacts/kits")
    export_kits(run, options, check=request.check, store=store, output=output)


export_command = command_of(ExportRequest, _carry_out)
