"""`toolkit parity`."""

from __future__ import annotations

__all__ = ["parity_command", "run_and_report"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.artifacts import ArtifactStore, check_output
from toolkit.cli.context import announce_model, choose_model, load_recorded_data
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
from toolkit.cli.output import Output, invocation, note
from toolkit.durable import write_atomic, write_json
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
    if picture is not None and picture == output_path:
        raise UsageError(f"the report and the picture are both {picture}; give one of them another name")
    for target in filter(None, (output_path, picture)):
        check_output(target, force=force, inputs=(path,))
    report, _ = run_and_report(
        path, config, run=run, data=data, output_path=output_path, output=Output(as_json=as_json)
    )
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


def run_and_report(
    path: Path, config: ParityConfig, *, run: Path | None, data: str | None, output_path: Path | None, output: Output
) -> tuple[ParityReport, Path]:
    """Run the matrix, write its report and show it."""
    from toolkit.environment import describe_environment
    from toolkit.evaluation.evaluate import require_same_data
    from toolkit.network.run import find_run, read_run
    from toolkit.parity.matrix import require_providers, run_parity
    from toolkit.render_parity import parity_table
    from toolkit.runtimes.origin import find_origin
    from toolkit.runtimes.source import ModelSource

    store = ArtifactStore.default()
    source = ModelSource.read(path)
    card = require_providers(source, config)
    announce_model(path, store=store)  # after the refusals, which are one line
    origin = find_origin(card.checkpoint_sha256, store=store) if run is None else find_run(run, store=store)
    source = replace(source, run=origin)
    if source.run is None:
        note("the run that this model came from is not here: the reference is the file's own weights in float64")
    # A card must not tell where a user's own data lie; the run does.
    recorded = card.data if origin is None else read_run(origin).data
    dataset = load_recorded_data(data, recorded, output, size=(card.input.height, card.input.width))
    if data is None:
        require_same_data(dataset, card.data, owner=path.name)
    with output.progress("parity", unit="rows") as bar:
        report = run_parity(source, dataset, config, progress=bar)
    target = output_path or store.new_file("reports", f"parity-{path.stem}", ".json")
    value = report.to_json(command=invocation(), environment=describe_environment())
    write_json(target, value)
    output.report(value, parity_table(report), f"report {target}")
    return report, target
