"""`toolkit parity`."""

from __future__ import annotations

__all__ = ["parity_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore, check_output
from toolkit.cli.context import choose_model
from toolkit.cli.options import (
    AllowFallback,
    DataName,
    Force,
    Json,
    ModelPath,
    OutputPath,
    Providers,
    Runtimes,
    Threads,
    split_names,
    split_numbers,
)
from toolkit.cli.output import Output, note
from toolkit.cli.parity_steps import ParityFiles, run_and_report
from toolkit.durable import write_atomic
from toolkit.errors import CheckFailedError, UsageError
from toolkit.parity.config import ParityConfig

if TYPE_CHECKING:
    from toolkit.parity.report import ParityReport

Optimisations = Annotated[
    str | None, typer.Option("--optimisation", help="ONNX Runtime's levels: all, extended, basic, none.")
]
Sample = Annotated[
    int | None, typer.Option("--sample", help="Judge only so many evenly spaced test images.", show_default=False)
]
RunPath = Annotated[
    Path | None, typer.Option("--run", help="The run that the model came from, found by its hash by default.")
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record", help="Write images, reference answers and bounds for another machine.", show_default=False
    ),
]
Against = Annotated[
    Path | None,
    typer.Option("--against", help="Judge by what another machine recorded; needs no data.", show_default=False),
]
PicturePath = Annotated[
    Path | None, typer.Option("--picture", help="Draw the matrix as a heat map into this .png.", show_default=False)
]
DEFAULTS = ParityConfig()


def parity_command(
    model: ModelPath = None,
    runtime: Runtimes = None,
    provider: Providers = None,
    threads: Threads = None,
    optimisation: Optimisations = None,
    data: DataName = None,
    sample: Sample = None,
    run: RunPath = None,
    record: Record = None,
    against: Against = None,
    picture: PicturePath = None,
    allow_fallback: AllowFallback = False,
    output_path: OutputPath = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare engines with the float64 reference. The bound is known before any of them runs."""
    config = ParityConfig(
        runtimes=split_names(runtime) if runtime else None,
        providers=split_names(provider) if provider else DEFAULTS.providers,
        threads=split_numbers(threads, option="--threads", least=0) if threads else DEFAULTS.threads,
        optimisations=split_names(optimisation) if optimisation else DEFAULTS.optimisations,
        sample=sample,
        allow_fallback=allow_fallback,
    )
    path = choose_model(model, store=ArtifactStore.default())
    if picture is not None and picture.suffix.lower() != ".png":
        raise UsageError(f"the picture {picture} does not end in .png; pictures are PNG files")
    if against is not None and (record, data, sample, run) != (None, None, None, None):
        raise UsageError("--against brings its own images and answers; leave out --record, --data, --sample and --run")
    targets = [target for target in (output_path, record, picture) if target is not None]
    if len(set(targets)) < len(targets):
        raise UsageError(f"two outputs are both {max(targets, key=targets.count)}; give one of them another name")
    for target in targets:
        check_output(target, force=force, inputs=(path,))
    files = ParityFiles(record=record, against=against, output=output_path)
    report, _ = run_and_report(path, config, run=run, data=data, files=files, output=Output(as_json=as_json))
    if picture is not None:
        _draw(report, picture)
    if not report.passed:
        failed = [row for row in report.rows if row.status == "fail"]
        first = f"{failed[0].runtime} on {failed[0].provider}: {failed[0].reason}" if failed else "no row was judged"
        raise CheckFailedError(f"parity failed in {len(failed)} of {len(report.rows)} rows; {first}")


def _draw(report: ParityReport, picture: Path) -> None:
    from toolkit.plots_parity import draw_parity

    write_atomic(picture, draw_parity(report))
    note(f"picture {picture}")
