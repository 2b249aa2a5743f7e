"""`toolkit export`."""

from __future__ import annotations

__all__ = ["export_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.api.words import split_names
from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.export import export_and_show, export_kits
from toolkit.cli.completion import kits, one_of, runs_or_models, some_of
from toolkit.cli.options import DataName, Force, Json, command_of
from toolkit.cli.output import Output
from toolkit.errors import UsageError
from toolkit.exporting.config import EXPORTED_PRECISIONS, GOLDEN_KINDS

if TYPE_CHECKING:
    from toolkit.exporting.config import ExportConfig
    from toolkit.exporting.kits.kits import KitConfig


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
    output_path: Annotated[
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

    def make_config(self) -> ExportConfig:
        """Return the settings of the export.

        Raises:
            UsageError: a word is unknown, or a number makes no sense.
        """
        from toolkit.exporting.config import ExportConfig

        return ExportConfig(
            name=self.name,
            output=self.output_path,
            precisions=split_names(self.precision),
            calibration_count=self.calibration,
            cross_check=self.cross_check,
            golden=self.golden,
            author=self.author,
            licence=self.licence,
            force=self.force,
        )

    def make_kit_config(self) -> KitConfig | None:
        """Return which kits to write, None for none.

        Raises:
            UsageError: a kit is unknown, or an option of kits is given without one.
        """
        if self.kit is None:
            if self.webgpu or self.check:
                raise UsageError(f"{'--webgpu' if self.webgpu else '--check'} is about kits; name some with --kit")
            return None
        from toolkit.exporting.kits.kits import KitConfig

        return KitConfig(kits=split_names(self.kit), name=self.name, uses_webgpu=self.webgpu, force=self.force)


def _carry_out(request: ExportRequest) -> None:
    output, store = Output(as_json=request.as_json), ArtifactStore.default()
    config, kits, run = request.make_config(), request.make_kit_config(), request.run
    if run is None or run.suffix != ".onnx":
        export_and_show(run, config, data=request.data, kits=kits, check=request.check, store=store, output=output)
        return
    if request.output_path is not None or config.precisions != ("fp32",):
        raise UsageError("--output and --precision are for runs; kits of a model lie in artifacts/kits")
    export_kits(run, kits, check=request.check, store=store, output=output)


export_command = command_of(ExportRequest, _carry_out)
