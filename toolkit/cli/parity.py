"""`toolkit parity`."""

from __future__ import annotations

__all__ = ["parity_command"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import choose_model
from toolkit.cli.external_data import AllowExternalData, offer_external_data
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
from toolkit.cli.output import Output, draw_picture, note
from toolkit.cli.parity_options import (
    Against,
    Bisect,
    BudgetSeconds,
    InputsPath,
    Optimisations,
    PicturePath,
    Precisions,
    Record,
    Replay,
    RunPath,
    Sample,
    Shapes,
    Values,
    read_budget,
    read_feed_config,
)
from toolkit.cli.parity_steps import ParityFiles, require_passed, run_and_report
from toolkit.cli.parity_worst import replay_and_report, worst_folder
from toolkit.errors import UsageError
from toolkit.outputs import check_picture, claim_outputs
from toolkit.parity.config import ParityConfig

if TYPE_CHECKING:
    from toolkit.parity.report import ParityReport

DEFAULTS = ParityConfig()
AGAINST_ALONE = (
    "--against brings its own inputs and answers; leave out --record, --data, --sample, --run, --inputs, --shape, "
    "--value and --budget"
)
REPLAY_ALONE = (
    "--replay runs a row's engine again as it was opened; only the model, --allow-external-data and --json go with it"
)


@offer_external_data
def parity_command(
    model: ModelPath = None,
    runtime: Runtimes = None,
    provider: Providers = None,
    precision: Precisions = None,
    threads: Threads = None,
    optimisation: Optimisations = None,
    data: DataName = None,
    sample: Sample = None,
    run: RunPath = None,
    inputs: InputsPath = None,
    shape: Shapes = None,
    value: Values = None,
    budget: BudgetSeconds = None,
    record: Record = None,
    against: Against = None,
    picture: PicturePath = None,
    replay: Replay = None,
    bisect: Bisect = False,
    allow_fallback: AllowFallback = False,
    allow_external_data: AllowExternalData = False,
    output_path: OutputPath = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare engines with the float64 reference. The bound is known before any of them runs."""
    axes = (runtime, provider, precision, threads, optimisation)
    if replay is not None:
        others = (*axes, data, sample, run, inputs, shape, value, budget, record, against, picture, output_path)
        _require_none(REPLAY_ALONE, *others, bisect, allow_fallback, force)
        replay_and_report(replay, model=model, allow_external_data=allow_external_data, output=Output(as_json=as_json))
        return
    config = ParityConfig(**_split_axes(*axes), sample=sample, allow_fallback=allow_fallback)
    path = choose_model(model, store=ArtifactStore.default())
    if against is not None:
        _require_none(AGAINST_ALONE, record, data, sample, run, inputs, shape, value, budget)
    _claim_outputs(output_path, record, picture, read=(path, against, inputs, data), force=force)
    files = ParityFiles(
        record=record,
        against=against,
        output=output_path,
        run=run,
        feeds=read_feed_config(inputs, shape, value),
        budget=read_budget(budget),
        bisect=bisect,
        allow_external_data=allow_external_data,
    )
    report, _ = run_and_report(path, config, data=data, files=files, output=Output(as_json=as_json))
    _draw(report, picture)
    require_passed(report)


def _split_axes(*words: str | None) -> dict[str, Any]:
    """Return the axes of the matrix from their options, in the order of the command's."""
    runtime, provider, precision, threads, optimisation = words
    return {
        "runtimes": split_names(runtime) if runtime else None,
        "providers": split_names(provider) if provider else DEFAULTS.providers,
        "precisions": split_names(precision) if precision else None,
        "threads": split_numbers(threads, option="--threads", least=0) if threads else DEFAULTS.threads,
        "optimisations": split_names(optimisation) if optimisation else DEFAULTS.optimisations,
    }


def _require_none(words: str, *options: object) -> None:
    """Refuse options that were given beside one that stands alone."""
    if any(option is not None and option is not False for option in options):
        raise UsageError(words)


def _claim_outputs(
    output: Path | None, record: Path | None, picture: Path | None, *, read: tuple[Path | str | None, ...], force: bool
) -> None:
    check_picture(picture)
    claim_outputs(output, record, picture, force=force, inputs=(Path(item) for item in read if item))
    if output is not None and worst_folder(output).exists() and not force:
        raise UsageError(f"the folder {worst_folder(output)} of an earlier report exists; give another name or --force")


def _draw(report: ParityReport, picture: Path | None) -> None:
    if picture is None:
        return
    from toolkit.plots_parity import draw_parity

    if draw_picture(picture, lambda: draw_parity(report)):
        note(f"picture {picture}")
