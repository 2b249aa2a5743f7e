"""`toolkit tune`: a search, every trial told, report, pictures and the best recipe written."""

from __future__ import annotations

__all__ = ["tune_command"]

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from toolkit.api.words import DEFAULT_DATA, DEFAULT_RECIPE, split_size
from toolkit.artifacts import ArtifactStore
from toolkit.cli.commands.train import CpuThreads, Device, RecipeName, Seed, Settings
from toolkit.cli.completion import SEARCHES, one_of, setting_keys, studies
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import ImageSize, Json, TrainingData, command_of, option
from toolkit.cli.output import Output, ProgressBar, draw_picture, repeat_command, tell_origin
from toolkit.counts import count_of
from toolkit.durable import write_atomic, write_json
from toolkit.errors import CheckFailedError, UsageError
from toolkit.training.process import prepare_process
from toolkit.training.recipe_catalog import change_recipe, resolve_recipe
from toolkit.tuning.search_space import parse_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.artifacts import ArtifactStore
    from toolkit.training.recipe import Recipe
    from toolkit.tuning.study import TrialRow
    from toolkit.tuning.tune import TuneReport

# Of the search, with defaults of its own.
PASSED_ON = ("search", "trials", "folds", "max_images", "seed", "device", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """Search recipe fields by cross-validation on the training images; the test images stay untouched."""

    data: TrainingData = None
    size: ImageSize = None
    recipe: RecipeName = None
    settings: Settings = None
    space: Annotated[
        list[str] | None,
        option(
            "Vary a field of the recipe or the network: batch_size=64,128 or dropout=0.2..0.6, with :log for a "
            "logarithmic range and /5 for five points of it; repeatable.",
            complete=one_of(setting_keys),
            metavar="KEY=VALUES",
        ),
    ] = None
    search: Annotated[
        str | None, option("tpe (ten random trials, then guided) or grid.", default="tpe", complete=one_of(SEARCHES))
    ] = None
    trials: Annotated[int | None, option("Of the study in all.", default="20, of a grid every point")] = None
    folds: Annotated[int | None, option("Of the cross-validation; 1 holds the last images out.", default="3")] = None
    epochs: Annotated[int | None, option("Of every trial.", default="the recipe's")] = None
    max_images: Annotated[int | None, option("Use so many of the training images.", default="all")] = None
    seed: Seed = None
    device: Device = None
    threads: CpuThreads = None
    study: Annotated[
        str | None,
        option("Go on with a study, or begin it.", default="a new one", complete=one_of(studies), metavar="NAME|PATH"),
    ] = None
    as_json: Json = False


def _carry_out(request: TuneRequest) -> None:
    prepare_process()
    from toolkit.api.data import load_given
    from toolkit.tuning.config import TuneConfig
    from toolkit.tuning.tune import tune

    output, store = Output(as_json=request.as_json), ArtifactStore.default()
    settings, epochs = request.settings or [], request.epochs
    base = resolve_recipe(request.recipe or DEFAULT_RECIPE, settings=settings)
    settled = [text.partition("=")[0] for text in settings] + (["epochs"] if epochs is not None else [])
    dimensions = parse_space(request.space or [], settled=settled)
    given: dict[str, Any] = {name: value for name in PASSED_ON if (value := getattr(request, name)) is not None}
    short = base if epochs is None else change_recipe(base, [f"epochs={epochs}"])
    config = TuneConfig(recipe=short, space=dimensions, **given)
    told = CommandListener(output)
    dataset = load_given(request.data or DEFAULT_DATA, listener=told, size=split_size(request.size))
    study = _locate_study(request.study, f"{dataset.name}-{base.name}", store=store)
    with output.progress("searching", unit="trials") as bar:
        listener = _Listener(output, bar, repeats_name=request.study is not None)
        report = tune(dataset, config, path=study, listener=listener)
    _write_results(report, base, store=store, output=output)


def _locate_study(study: str | None, stem: str, *, store: ArtifactStore) -> Path:
    """Return the file: under `artifacts/tune` for a name, itself for a path."""
    if study is None:
        return store.new_file("tune", stem, suffix=".db")
    if not study.strip():
        raise UsageError("--study is empty; expected a name or a path that ends in .db")
    path = Path(study)
    return path if path.name != study or path.suffix == ".db" else store.root / "tune" / f"{study}.db"


class _Listener:
    """Tells the user what happens in a search.

    Args:
        output: where words go.
        bar: shows the trials of the study.
        repeats_name: whether the command line names the study already, so that repeating it goes on.
    """

    def __init__(self, output: Output, bar: ProgressBar, *, repeats_name: bool) -> None:
        self._output = output
        self._bar = bar
        self._repeats_name = repeats_name
        self._settled, self._trials = 0, 0

    def on_step(self, done: int, total: int | None) -> None:
        """Move the bar by a part of a trial: trials differ in their steps, and their number is known."""
        self._bar(self._settled + done / (total or done), self._trials)

    def on_start(self, *, study: Path, settled: int, trials: int, images: int) -> None:
        """Say where the study lies, how it is judged, and how to go on with it."""
        self._settled, self._trials = settled, trials
        self._bar(settled, trials)
        command = repeat_command() + ("" if self._repeats_name else f" --study {shlex.quote(str(study))}")
        self._output.show(
            f"{settled} of {count_of(trials, 'trial')} done, judged on {count_of(images, 'training image')} only",
            f"study {study}",
            f"if it is stopped, go on with: {command}",
        )

    def on_trial(self, row: TrialRow, *, settled: int, trials: int) -> None:
        """Show the trial's line."""
        from toolkit.render.training import describe_trial

        self._settled = settled
        self._bar(settled, trials)
        self._output.show(f"trial {settled} of {trials}: {describe_trial(row)}")


def _write_results(report: TuneReport, base: Recipe, *, store: ArtifactStore, output: Output) -> None:
    """Write report, pictures and the best recipe, and show the table.

    Raises:
        CheckFailedError: no trial succeeded.
    """
    from toolkit.plots.training import draw_search_fields, draw_search_history
    from toolkit.render.training import render_tune
    from toolkit.training.recipe_catalog import recipe_to_toml
    from toolkit.tuning.tune import best_recipe

    path = store.new_file("reports", f"tune-{report.study.stem}", suffix=".json")
    best, toml = best_recipe(report, base), path.with_name(f"{path.stem}-best.toml")
    last: list[str] = []
    if best is not None:
        write_atomic(toml, recipe_to_toml(best).encode())
        last += [f"best recipe {toml}", f"train it with: toolkit train --recipe {toml}"]
        if base.epochs != report.config.recipe.epochs:
            short = count_of(report.config.recipe.epochs, "epoch")
            last.append(f"it has the recipe's own {count_of(base.epochs, 'epoch')}; every trial had {short}")
    whole = tell_origin({**report.to_json(), "best_recipe": None if best is None else str(toml)})
    write_json(path, whole)
    pictures: dict[Path, Callable[[], bytes]] = {
        path.with_name(f"{path.stem}-history.png"): lambda: draw_search_history(report.rows),
        path.with_name(f"{path.stem}-fields.png"): lambda: draw_search_fields(report.rows, report.config.space),
    }
    drawn = [f"picture {target}" for target, draw in pictures.items() if draw_picture(target, draw)]
    output.report(whole, *render_tune(report), f"report {path}", *drawn, *last)
    if best is None:
        raise CheckFailedError(f"none of {count_of(len(report.rows), 'trial')} succeeded; see their reasons in {path}")


tune_command = command_of(TuneRequest, _carry_out)
