"""What `toolkit tune` does: search, tell of every trial, write report, pictures and the best recipe."""

from __future__ import annotations

__all__ = ["search_and_report"]

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.output import Output, ProgressBar, draw_picture, repeat_command, tell_origin
from toolkit.counts import count_of
from toolkit.durable import write_atomic, write_json
from toolkit.errors import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.artifacts import ArtifactStore
    from toolkit.data import Dataset
    from toolkit.training.recipe import Recipe
    from toolkit.tuning.config import TuneConfig
    from toolkit.tuning.study import TrialRow
    from toolkit.tuning.tune import TuneReport


def search_and_report(
    dataset: Dataset,
    config: TuneConfig,
    *,
    base: Recipe,
    study: Path,
    repeats_name: bool,
    store: ArtifactStore,
    output: Output,
) -> None:
    """Search, write what came out, and show it.

    Args:
        dataset: of which the training images are used.
        config: of the search.
        base: the recipe that is varied, with its own number of epochs.
        study: the file that remembers the trials.
        repeats_name: whether the command line names the study already, so that repeating it goes on.
        store: where files go.
        output: where words go.

    Raises:
        CheckFailedError: no trial succeeded.
    """
    from toolkit.tuning.tune import tune

    with output.progress("searching", unit="trials") as bar:
        report = tune(dataset, config, path=study, listener=_Listener(output, bar, repeats_name=repeats_name))
    _write_results(report, base, store=store, output=output)


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
    """Write report, pictures and the best recipe, and show the table."""
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
