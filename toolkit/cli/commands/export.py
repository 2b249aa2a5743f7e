"""`toolkit export`: a run as a file, its kits, what was tried for int8, and all of it shown."""

from __future__ import annotations

__all__ = ["export_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.completion import kits, one_of, runs_or_models, some_of
from toolkit.cli.context import choose_run
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import DataName, Force, Json, command_of, option, options_for
from toolkit.cli.output import Output, note, tell_origin, warn
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, ResourceError, UsageError
from toolkit.exporting.config import EXPORTED_PRECISIONS, GOLDEN_KINDS
from toolkit.plain import to_plain

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.exporting.kits.kits import WrittenKits
    from toolkit.exporting.report import ExportReport


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
    """Export a run and write kits of the file where they are asked for, or kits of a file that is there already.

    Raises:
        CheckFailedError: int8 was asked for and no file of it holds, or a kit's self-check failed.
        ResourceError: a self-check did not run and `--check` insists.
    """
    from toolkit.api.export import export

    output, store = Output(as_json=request.as_json), ArtifactStore.default()
    if request.check and request.kit is None:
        raise UsageError("--check is about kits; name some with --kit")
    if request.run is not None and request.run.suffix == ".onnx":
        _export_kits(request.run, request, store=store, output=output)
        return
    told = {"run": request.run or choose_run(store), "listener": CommandListener(output)}
    report = export(**options_for(export, request) | told)
    _show(report, output=output, asked=request.golden)
    _judge_int8(report, store=store)
    if report.kits:
        _judge_kits(report.kits, check=request.check)


def _export_kits(model: Path, request: ExportRequest, *, store: ArtifactStore, output: Output) -> None:
    """Write kits of a model that is there, and say what became of each."""
    from toolkit.api.export import make_kit_config, write_kits_of
    from toolkit.render.export import kits_table

    if request.output is not None or request.precision != "fp32":
        raise UsageError("--output and --precision are for runs; kits of a model lie in artifacts/kits")
    how = {key: getattr(request, key) for key in ("kit", "name", "webgpu", "kit_provider", "force")}
    config = make_kit_config(**how)
    if config is None:
        raise UsageError(f"{model} is a model already; make kits of it with --kit, or name a run")
    written = write_kits_of(model, config, store=store, listener=CommandListener(output))
    output.report({"schema": "toolkit/kits/1", "model": str(model), **to_plain(written)}, kits_table(written.kits))
    _judge_kits(written, check=request.check)


def _show(report: ExportReport, *, output: Output, asked: str | None) -> None:
    from toolkit.render.export import describe_export, int8_table, kits_table

    warn(report.warnings)
    tables = [
        *([] if report.int8 is None else int8_table(report.int8)),
        *([kits_table(report.kits.kits)] if report.kits else []),
    ]
    output.report(report.to_json(), *describe_export(report, asked=asked), *tables)


def _judge_int8(report: ExportReport, *, store: ArtifactStore) -> None:
    """Keep what was tried for int8 and refuse where nothing came of it."""
    if report.int8 is None:
        return
    target = store.new_file("reports", f"int8-{report.model.stem}", suffix=".json")
    write_json(target, {**tell_origin(report.int8.to_json()), "log": str(report.log)})
    note(f"report: {target}")
    if not report.int8.passed:
        raise CheckFailedError(f"no int8 file: {'; '.join(report.int8.failures)}; every try is in {target}")


def _judge_kits(written: WrittenKits, *, check: bool) -> None:
    """Say which kits of all could not be made, and warn of self-checks that did not run.

    Raises:
        CheckFailedError: one failed.
        ResourceError: one did not run, or a kit is missing, and `check` insists.
    """
    for kit in written.missing_kits:
        note(f"no kit {kit.kit}: {kit.reason}")
    missing = [result for result in written.kits if result.check.status == "not-run"]
    for result in missing:
        note(f"warning: the self-check of kit {result.kit} did not run: {result.check.reason}")
    failed = [result for result in written.kits if result.check.status == "fail"]
    if failed:
        raise CheckFailedError(f"the self-check of kit {failed[0].kit} failed: {failed[0].check.reason}")
    # Triton's needs a server, which is no tool of this machine's; its configuration was checked.
    insisted = [result for result in missing if result.kit != "triton"]
    if check and insisted:
        raise ResourceError(f"the self-check of kit {insisted[0].kit} did not run: {insisted[0].check.reason}")
    if check and written.missing_kits:
        raise ResourceError(f"no kit {written.missing_kits[0].kit}: {written.missing_kits[0].reason}")


export_command = command_of(ExportRequest, _carry_out)
