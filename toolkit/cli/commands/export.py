"""`toolkit export`."""

from __future__ import annotations

__all__ = ["export_command"]

from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.kits import (
    Checked,
    Kits,
    WebGpu,
    export_kits,
    judge_kits,
    make_kit_config,
    write_model_kits,
)
from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.options import DataName, Force, Json, OutputPath, split_names
from toolkit.cli.output import Output, note, tell_origin, warn
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, UsageError
from toolkit.plain import to_plain

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.data import Dataset
    from toolkit.exporting.config import ExportConfig
    from toolkit.exporting.kits.kits import KitResult
    from toolkit.exporting.report import ExportReport

Run = Annotated[
    Path | None,
    typer.Argument(
        help="A run folder or a run's name, with @12 or @best for a kept checkpoint; the latest by default. With --kit "
        "also an .onnx that is there already."
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="The model's name; the run's by default.")]
Precisions = Annotated[
    str, typer.Option("--precision", help="fp32, which is always made; fp16 and int8 are derived from it.")
]
Calibration = Annotated[int, typer.Option("--calibration", help="Training images that int8 is calibrated on.")]
CrossChecked = Annotated[
    bool,
    typer.Option("--cross-check", help="Also write with torch's other exporter and require equal answers."),
]
GoldenKind = Annotated[
    str | None,
    typer.Option(
        "--golden", help="Golden vectors: data (catalogue sets' default), synthetic (your own data's default), none."
    ),
]
Author = Annotated[str, typer.Option("--author", envvar="TOOLKIT_AUTHOR", help="Written into the card.")]
Licence = Annotated[
    str, typer.Option("--licence", envvar="TOOLKIT_LICENCE", help="SPDX identifier, written into the card.")
]


def export_command(
    run: Run = None,
    name: Name = None,
    output_path: OutputPath = None,
    precision: Precisions = "fp32",
    calibration: Calibration = 1_000,
    cross_check: CrossChecked = False,
    golden: GoldenKind = None,
    kit: Kits = None,
    webgpu: WebGpu = False,
    check: Checked = False,
    data: DataName = None,
    author: Author = "unspecified",
    licence: Licence = "NOASSERTION",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a run as one self-contained .onnx. With its card, and proven before it is put in place."""
    from toolkit.exporting.config import ExportConfig

    output, store = Output(as_json=as_json), ArtifactStore.default()
    config = ExportConfig(
        name=name,
        output=output_path,
        precisions=split_names(precision),
        calibration_count=calibration,
        cross_check=cross_check,
        golden=golden,
        author=author,
        licence=licence,
        force=force,
    )
    kits = make_kit_config(kit, webgpu=webgpu, check=check, force=force)
    if run is not None and run.suffix == ".onnx":
        if name is not None or output_path is not None or config.precisions != ("fp32",):
            raise UsageError("--name, --output and --precision are for runs; kits of a model lie in artifacts/kits")
        export_kits(run, kits, check=check, store=store, output=output)
        return
    report = _export_run(run, config, data, output, store)
    results = write_model_kits(report.model, kits, store=store, output=output) if kits else ()
    _show(report, results, output, asked=golden)
    _judge(report, store=store)
    judge_kits(results, check=check)


def _export_run(
    run: Path | None, config: ExportConfig, data: str | None, output: Output, store: ArtifactStore
) -> ExportReport:
    from toolkit.runs.run import read_run

    folder = resolve_run(run, store=store)
    described = read_run(folder)
    dataset = load_recorded_data(data, described.data, output, size=described.image_size)
    return _export(folder, dataset, config, output=output, store=store)


def _judge(report: ExportReport, *, store: ArtifactStore) -> None:
    """Keep what was tried for int8 and refuse where nothing came of it."""
    target = _write_tries(report, store=store)
    if report.int8 is not None:
        note(f"report: {target}")
        if not report.int8.passed:
            raise CheckFailedError(f"no int8 file: {'; '.join(report.int8.failures)}; every try is in {target}")


def _export(run: Path, data: Dataset, config: ExportConfig, *, output: Output, store: ArtifactStore) -> ExportReport:
    from toolkit.exporting.export import export_run

    with ExitStack() as stack:
        # Begun by the first int8 setting: before that, what reaches stderr belongs to the exporter's log.
        begin = cache(partial(stack.enter_context, output.progress("trying int8", unit="settings")))

        def advance(done: int, total: int | None) -> None:
            begin()(done, total)

        return export_run(run, data, config, store=store, progress=advance)


def _show(report: ExportReport, kits: tuple[KitResult, ...], output: Output, *, asked: str | None) -> None:
    from toolkit.render.export import cross_check_words, int8_table, kits_table

    lines = [line for item in (report, *report.derived) for line in _describe(item, asked=asked)]
    lines += [] if report.cross_check is None else [cross_check_words(report.cross_check)]
    warn(report.warnings)
    tables = [*([] if report.int8 is None else int8_table(report.int8)), *([kits_table(kits)] if kits else [])]
    told = {"kits": to_plain(kits)} if kits else {}
    output.report({**report.to_json(), **told}, *lines, *tables)


def _write_tries(report: ExportReport, *, store: ArtifactStore) -> Path | None:
    if report.int8 is None:
        return None
    target = store.new_file("reports", f"int8-{report.model.stem}", ".json")
    write_json(target, {**tell_origin(report.int8.to_json()), "log": str(report.log)})
    return target


def _describe(report: ExportReport, *, asked: str | None) -> tuple[str, ...]:
    state = "unchanged" if report.unchanged else "written"
    written = f"{report.card.precision}, opset 18, {len(report.operators)} nodes, sha256 {report.sha256[:16]}..."
    proven = f"largest logit error {report.max_abs_logit_error:.2g}, bound {report.card.bound['logits']:.2g}"
    return (
        f"{report.model} {state}: {report.size_bytes / 1e6:.2f} MB, {written}",
        f"proven by {report.engine} at batch 1, 2, 3, 17, 64: {proven}",
        f"test accuracy of this file {report.accuracy.describe()}",
        _golden_words(report.card, asked=asked),
    )


def _golden_words(card: Card, *, asked: str | None) -> str:
    if card.golden is not None:
        return f"golden vectors: {card.golden.shape[0]} {card.golden.split or card.golden.origin} images"
    reason = "as asked" if asked == "none" else f"one image of {card.input.height}x{card.input.width} is over the cap"
    return f"golden vectors: none, {reason}; toolkit selftest has nothing to replay"
