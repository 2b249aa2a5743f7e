"""`toolkit export`."""

from __future__ import annotations

__all__ = ["export_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.options import DataName, Force, Json, OutputPath, split_names
from toolkit.cli.output import Output

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.exporting.report import ExportReport

Run = Annotated[
    Path | None,
    typer.Argument(
        help="A run folder or a run's name, with @12 or @best for a kept checkpoint; the latest by default.",
        show_default=False,
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="The model's name; the run's by default.", show_default=False)]
Precisions = Annotated[
    str, typer.Option("--precision", help="fp32, which is always made, and fp16, which is derived from it.")
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
    golden: GoldenKind = None,
    data: DataName = None,
    author: Author = "unspecified",
    licence: Licence = "NOASSERTION",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a run as one self-contained .onnx. With its card, and proven before it is put in place."""
    from toolkit.exporting.config import ExportConfig
    from toolkit.exporting.export import export_run
    from toolkit.network.run import read_run

    output, store = Output(as_json=as_json), ArtifactStore.default()
    config = ExportConfig(
        name=name,
        output=output_path,
        precisions=split_names(precision),
        golden=golden,
        author=author,
        licence=licence,
        force=force,
    )
    folder = resolve_run(run, store=store)
    described = read_run(folder)
    dataset = load_recorded_data(data, described.data, output, size=described.image_size)
    report = export_run(folder, dataset, config, store=store)
    lines = [line for item in (report, *report.derived) for line in _describe(item, asked=golden)]
    output.report(report.to_json(), *lines)


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
        kind = {"data": "validation images", "synthetic": "synthetic images"}[card.golden.origin]
        return f"golden vectors: {card.golden.shape[0]} {kind}"
    reason = "as asked" if asked == "none" else f"one image of {card.input.height}x{card.input.width} is over the cap"
    return f"golden vectors: none, {reason}; toolkit selftest has nothing to replay"
