"""`toolkit export`."""

from __future__ import annotations

__all__ = ["export_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import load_recorded_data, resolve_run
from toolkit.cli.options import DataName, Force, Json, OutputPath
from toolkit.cli.output import Output

if TYPE_CHECKING:
    from toolkit.card import Card

Run = Annotated[
    Path | None,
    typer.Argument(
        help="A run folder or a run's name, with @12 or @best for a kept checkpoint; the latest by default.",
        show_default=False,
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="The model's name; the run's by default.", show_default=False)]
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
    config = ExportConfig(name=name, output=output_path, golden=golden, author=author, licence=licence, force=force)
    folder = resolve_run(run, store=store)
    described = read_run(folder)
    dataset = load_recorded_data(data, described.data, output, size=described.image_size)
    report = export_run(folder, dataset, config, store=store)
    state = "unchanged" if report.unchanged else "written"
    output.report(
        report.to_json(),
        f"{report.model} {state}: {report.size_bytes / 1e6:.2f} MB, opset 18, {len(report.operators)} nodes, "
        f"sha256 {report.sha256[:16]}...",
        f"proven by {report.engine} at batch 1, 2, 3, 17, 64: largest logit error {report.max_abs_logit_error:.2g}, "
        f"bound {report.card.bound['logits']:.2g}",
        f"test accuracy of this file {report.accuracy.describe()}",
        _golden_words(report.card, asked=golden),
    )


def _golden_words(card: Card, *, asked: str | None) -> str:
    if card.golden is not None:
        kind = {"data": "validation images", "synthetic": "synthetic images"}[card.golden.origin]
        return f"golden vectors: {card.golden.shape[0]} {kind}"
    reason = "as asked" if asked == "none" else f"one image of {card.input.height}x{card.input.width} is over the cap"
    return f"golden vectors: none, {reason}; toolkit selftest has nothing to replay"
