"""`toolkit tune`."""

from __future__ import annotations

__all__ = ["tune_command"]

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.commands.train import DEFAULT_RECIPE, CpuThreads, Device, RecipeName, Seed, Settings
from toolkit.cli.context import DEFAULT_DATA, load_data
from toolkit.cli.options import DataName, ImageSize, Json, split_size
from toolkit.cli.output import Output, ProgressBar, draw_picture, repeat_command, tell_origin
from toolkit.errors import UsageError
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import change_recipe, resolve_recipe
from toolkit.tuning.search_space import parse_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.training.recipe import Recipe
    from toolkit.tuning.trials import TrialRow
    from toolkit.tuning.tune import TuneReport

Space = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        metavar="KEY=VALUES",
        help="Vary a field of the recipe or the network: batch_size=64,128 or dropout=0.2..0.6, with :log for a "
        "logarithmic range and /5 for five points of it; repeatable.",
    ),
]
Search = Annotated[
    str | None, typer.Option("--search", help="tpe (ten random trials, then guided) or grid; tpe by default.")
]
Trials = Annotated[
    int | None, typer.Option("--trials", help="Of the study in all; 20 by default, for a grid every point.")
]
Folds = Annotated[
    int | None, typer.Option("--folds", help="Of the cross-validation; 3 by default; 1 holds the last images out.")
]
TrialEpochs = Annotated[int | None, typer.Option("--epochs", help="Of every trial; the recipe's by default.")]
MaxImages = Annotated[
    int | None, typer.Option("--max-images", help="Use so many of the training images; all by default.")
]
StudyName = Annotated[str | None, typer.Option("--study", metavar="NAME|PATH", help="Go on with a study, or begin it.")]


class SearchListener:
    """Tells the user what happens in a search.

    Args:
        output: where words go.
        bar: shows the steps of an epoch.
        repeats_name: whether the command line names the study already, so that repeating it goes on.
    """

    def __init__(self, output: Output, bar: ProgressBar, *, repeats_name: bool) -> None:
        self._output = output
        self.on_step = bar
        self._repeats_name = repeats_name

    def on_start(self, *, study: Path, settled: int, trials: int, images: int) -> None:
        """Say where the study lies, how it is judged, and how to go on with it."""
        command = repeat_command() + ("" if self._repeats_name else f" --study {shlex.quote(str(study))}")
        self._output.show(
            f"study {study}: {settled} of {trials} trials done, judged on {images:,} training images only",
            f"if it is stopped, go on with: {command}",
        )

    def on_trial(self, row: TrialRow, *, settled: int, trials: int) -> None:
        """Show the trial's line."""
        from toolkit.render.tuning import describe_trial

        self._output.show(f"trial {row.number}, {settled} of {trials}: {describe_trial(row)}")


def tune_command(
    data: DataName = None,
    size: ImageSize = None,
    recipe: RecipeName = None,
    settings: Settings = None,
    space: Space = None,
    search: Search = None,
    trials: Trials = None,
    folds: Folds = None,
    epochs: TrialEpochs = None,
    max_images: MaxImages = None,
    seed: Seed = None,
    device: Device = None,
    threads: CpuThreads = None,
    study: StudyName = None,
    as_json: Json = False,
) -> None:
    """Search recipe fields by cross-validation on the training images; the test images stay untouched."""
    prepare_process()
    from toolkit.tuning.config import TuneConfig

    output, store, settings = Output(as_json=as_json), ArtifactStore.default(), settings or []
    base = resolve_recipe(recipe or DEFAULT_RECIPE, settings=settings)
    settled = [text.partition("=")[0] for text in settings] + (["epochs"] if epochs is not None else [])
    dimensions = parse_space(space or [], settled=settled)
    asked = {"search": search, "trials": trials, "folds": folds, "max_images": max_images}
    asked |= {"seed": seed, "device": device, "threads": threads}
    given: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    short = base if epochs is None else change_recipe(base, [f"epochs={epochs}"])
    config = TuneConfig(recipe=short, space=dimensions, **given)
    dataset = load_data(data or DEFAULT_DATA, output, size=split_size(size))
    path = _locate_study(study, f"{dataset.name}-{base.name}", store)
    from toolkit.tuning.tune import tune

    with output.progress("searching", unit="steps") as bar:
        report = tune(dataset, config, path=path, listener=SearchListener(output, bar, repeats_name=study is not None))
    _write_results(report, base, output, store)


def _locate_study(study: str | None, stem: str, store: ArtifactStore) -> Path:
    """Return the file: under `artifacts/tune` for a name, itself for a path."""
    if study is None:
        return store.new_file("tune", stem, ".db")
    if not study.strip():
        raise UsageError("--study is empty; expected a name or a path that ends in .db")
    path = Path(study)
    return path if path.name != study or path.suffix == ".db" else store.root / "tune" / f"{study}.db"


def _write_results(report: TuneReport, base: Recipe, output: Output, store: ArtifactStore) -> None:
    """Write report, pictures and the best recipe, and show the table."""
    from toolkit.durable import write_atomic, write_json
    from toolkit.errors import CheckFailedError
    from toolkit.plots.tuning import draw_search_fields, draw_search_history
    from toolkit.render.tuning import render_tune
    from toolkit.training.recipe_catalog import recipe_to_toml
    from toolkit.tuning.tune import best_recipe

    path = store.new_file("reports", f"tune-{report.study.stem}", ".json")
    best, toml = best_recipe(report, base), path.with_name(f"{path.stem}-best.toml")
    last: list[str] = []
    if best is not None:
        write_atomic(toml, recipe_to_toml(best).encode())
        last.append(f"best recipe {toml}; train it with: toolkit train --recipe {toml}")
        if base.epochs != report.config.recipe.epochs:
            last.append(f"its {base.epochs} epochs are the recipe's own; every trial had {report.config.recipe.epochs}")
    whole = tell_origin({**report.to_json(), "best_recipe": None if best is None else str(toml)})
    write_json(path, whole)
    pictures: dict[Path, Callable[[], bytes]] = {
        path.with_name(f"{path.stem}-history.png"): lambda: draw_search_history(report.rows),
        path.with_name(f"{path.stem}-fields.png"): lambda: draw_search_fields(report.rows, report.config.space),
    }
    drawn = [f"picture {target}" for target, draw in pictures.items() if draw_picture(target, draw)]
    output.report(whole, *render_tune(report), f"report {path}", *drawn, *last)
    if best is None:
        raise CheckFailedError(f"none of {len(report.rows)} trials succeeded; see their reasons in {path}")
