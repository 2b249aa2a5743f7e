"""A search over the recipe's fields by cross-validation on the training images; the test images choose nothing."""

from __future__ import annotations

__all__ = ["TuneListener", "TuneReport", "best_recipe", "order_points", "tune"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from toolkit.data.dataset import Dataset, Split
from toolkit.errors import CheckFailedError, StoppedError, UsageError
from toolkit.training.fit import FitResult, fit
from toolkit.training.folds import assign_folds, split_fold, stratified_part
from toolkit.training.interrupt import StopRequest, hear_stop_signals
from toolkit.training.recipe import Recipe
from toolkit.training.recipes import describe_recipe
from toolkit.training.search_space import Value, apply_point, grid_points
from toolkit.training.session import choose_machine
from toolkit.training.streams import derive_seed
from toolkit.training.study import Study, open_study
from toolkit.training.train import check_data, split_data
from toolkit.training.trials import TrialRow, rank_trials
from toolkit.training.tune_config import TuneConfig

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneReport:
    """What a search found.

    Attributes:
        study: the SQLite file.
        config: what was searched.
        rows: the trials that count, in order.
        images: training images used, over all folds.
        device: where it ran.
    """

    study: Path
    config: TuneConfig
    rows: tuple[TrialRow, ...]
    images: int
    device: str

    @property
    def best(self) -> TrialRow | None:
        """The trial of the highest mean accuracy; None where every one failed."""
        ranked = rank_trials(self.rows)
        return ranked[0] if ranked and ranked[0].state == "done" else None

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/tune/1`, the rows best first."""
        config, best = self.config, self.best
        return {
            "schema": "toolkit/tune/1",
            "study": str(self.study),
            "search": config.search,
            "seed": config.seed,
            "trials": len(self.rows),
            "folds": config.folds,
            "objective": "mean over the folds of the validation accuracy after the last epoch",
            "standard_error": "spread over the folds" if config.folds > 1 else "binomial, of the held-out images",
            "space": {item.key: item.describe() for item in config.space},
            "recipe": {"name": config.recipe.name, **describe_recipe(config.recipe)},
            "images": self.images,
            "test_images_used": 0,
            "device": self.device,
            "best": None if best is None else best.to_json(),
            "rows": [row.to_json() for row in rank_trials(self.rows)],
        }


class TuneListener(Protocol):
    """Hears what happens while searching."""

    def on_start(self, *, study: Path, settled: int, trials: int, images: int) -> None:
        """The study is open; so many of its trials count already."""

    def on_step(self, done: int, total: int | None) -> None:
        """A step of a training is done."""

    def on_trial(self, row: TrialRow, *, settled: int, trials: int) -> None:
        """A trial has ended."""


def tune(data: Dataset, config: TuneConfig, *, path: Path, listener: TuneListener) -> TuneReport:
    """Run trials until the study has as many as asked for; a study that is there is gone on with.

    Raises:
        DataError: too few images or classes, or the file is no study.
        UsageError: the study was begun otherwise, or the folds are more than the images.
        ProviderError: the device asked for does not work here.
        ResourceError: Optuna is missing, the study is held by another process or cannot be written.
        StoppedError: a signal ended it; the trial under way is run again when the study goes on.
    """
    used = _reduce(data, config)
    machine = choose_machine(config.recipe, device=config.device, threads=config.threads)
    points, trials, settings = order_points(config), config.num_trials, config.settings(data)
    with hear_stop_signals() as stop, open_study(path, settings, space=config.space, seed=config.seed) as study:
        rows = study.settled()
        listener.on_start(study=path, settled=len(rows), trials=trials, images=len(used.train))
        while len(rows) < trials:
            tried = [dict(row.point) for row in rows]
            point = None if points is None else next(item for item in points if item not in tried)
            rows.append(_run_trial(study, point, used, config, rows=rows, stop=stop, listener=listener))
            listener.on_trial(rows[-1], settled=len(rows), trials=trials)
    return TuneReport(study=path, config=config, rows=tuple(rows), images=len(used.train), device=machine.device)


def best_recipe(report: TuneReport, base: Recipe) -> Recipe | None:
    """Return a recipe with the best trial's values; None where every trial failed.

    Args:
        report: of the search.
        base: the recipe with its own epochs, which a search may have cut short.
    """
    if report.best is None:
        return None
    named = replace(base, name=f"{base.name}-tuned", base=base.base or base.name)
    return apply_point(named, report.best.point)


def order_points(config: TuneConfig) -> list[dict[str, Value]] | None:
    """Return a grid's points in a random order, so that a search cut short has seen all of the range."""
    if config.search != "grid":
        return None
    points = grid_points(config.space)
    order = np.random.default_rng(derive_seed(config.seed, "grid")).permutation(len(points))
    return [points[index] for index in order]


def _run_trial(
    study: Study,
    point: Mapping[str, Value] | None,
    data: Dataset,
    config: TuneConfig,
    *,
    rows: Sequence[TrialRow],
    stop: StopRequest,
    listener: TuneListener,
) -> TrialRow:
    known = {frozenset(row.point.items()): row for row in rows if row.state == "done" and row.repeats is None}
    trial = study.begin(point)
    same = known.get(frozenset(trial.params.items()))
    if same is not None:  # the same seed gives the same figures: training it again would tell nothing
        return study.finish(trial, same.folds, repeats=same.number)
    try:
        return study.finish(trial, _train_folds(trial, data, config, stop=stop, listener=listener))
    except (CheckFailedError, UsageError, torch.OutOfMemoryError, MemoryError) as error:
        return study.fail(trial, str(error) or "out of memory")
    except StoppedError as stopped:
        study.abandon_running()
        how = f"trial {trial.number} is run again; go on with the same command and --study {study.path}"
        raise StoppedError(f"{stopped}; {how}", signal=stopped.signal) from stopped


def _train_folds(
    trial: optuna.Trial, data: Dataset, config: TuneConfig, *, stop: StopRequest, listener: TuneListener
) -> list[FitResult]:
    recipe = apply_point(config.recipe, trial.params).for_dataset(data)
    machine = choose_machine(recipe, device=config.device, threads=config.threads)
    return [
        # One seed for all trials: their differences come from the recipe, not from the start of the weights.
        fit(
            training,
            validation,
            recipe.for_count(len(training)),
            seed=derive_seed(config.seed, "fold", number),
            machine=machine,
            stop=stop,
            after_step=listener.on_step,
        )
        for number, (training, validation) in enumerate(_iterate_folds(data, config))
    ]


def _iterate_folds(data: Dataset, config: TuneConfig) -> Iterator[tuple[Split, Split]]:
    if config.folds == 1:
        training, validation = split_data(data, all_data=False)
        assert validation is not None
        yield training, validation
        return
    fold_N = assign_folds(data.train.labels, config.folds, seed=config.seed)
    for fold in range(config.folds):
        yield split_fold(data.train, fold_N, fold)


def _reduce(data: Dataset, config: TuneConfig) -> Dataset:
    if config.max_images and config.max_images < len(data.train):
        data = replace(data, train=stratified_part(data.train, config.max_images, seed=config.seed))
    check_data(data)
    if config.folds > len(data.train):
        assign_folds(data.train.labels, config.folds, seed=config.seed)  # says what is wrong before a study is begun
    return data
