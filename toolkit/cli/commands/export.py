"""`toolkit export`."""

from __future__ import annotations

__all__ = ["export_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.completion import kits, one_of, runs_or_models, some_of
from toolkit.cli.options import DataName, Force, Json, command_of, options_for
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
        str | None,
        typer.Option(
            "--name",
            help="The model's name; also what kits are called.",
            show_default="the run's, of kits the data set's",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write.", show_default="models/NAME.onnx under artifacts"),
    ] = None
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="fp32, which is always made; fp16 and int8 are derived from it.",
            autocompletion=some_of(EXPORTED_PRECISIONS),
        ),
    ] = "fp32"
    calibration: Annotated[int, typer.Option("--calibration", help="Training images that int8 is calibrated on.")] = (
        1_000
    )
    cross_check: Annotated[
        bool,
        typer.Option("--cross-check", help="Also write with torch's other exporter and require equal answers."),
    ] = False
    golden: Annotated[
        str | None,
        typer.Option(
            "--golden",
            help="Golden vectors: data, synthetic, none.",
            show_default="data for catalogue sets, synthetic for your own",
            autocompletion=one_of(GOLDEN_KINDS),
        ),
    ] = None
    kit: Annotated[
        str | None,
        typer.Option(
            "--kit",
            help="Also write kits: python, node, web, c, cpp, triton, or all: those that can be made here.",
            autocompletion=some_of(kits),
        ),
    ] = None
    webgpu: Annotated[bool, typer.Option("--webgpu", help="The web kit carries the larger build with WebGPU.")] = False
    check: Annotated[
        bool, typer.Option("--check", help="A kit's self-check that cannot run here is an error, not a warning.")
    ] = False
    data: DataName = None
    author: Annotated[str, typer.Option("--author", envvar="TOOLKIT_AUTHOR", help="Written into the card.")] = (
        "unspecified"
    )
    licence: Annotated[
        str, typer.Option("--licence", envvar="TOOLKIT_LICENCE", help="SPDX identifier, written into the card.")
    ] = "NOASSERTION"
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
