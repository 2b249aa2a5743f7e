"""A search over the recipe's fields by cross-validation on the training images; the test images choose nothing."""

from __future__ import annotations

__all__ = ["TuneListener", "TuneReport", "best_recipe", "tune"]

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from toolkit.data.dataset import Dataset, Split
from toolkit.data.trainable import check_data
from toolkit.errors import CheckFailedError, StoppedError, UsageError
from toolkit.training.process import hear_stop_signals
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import describe_recipe
from toolkit.training.session import choose_machine
from toolkit.training.steps.epoch import AfterStep
from toolkit.training.steps.seeding import derive_seed
from toolkit.training.train import split_data
from toolkit.tuning.config import TuneConfig
from toolkit.tuning.fit import FitResult, fit
from toolkit.tuning.folds import assign_folds, split_fold, stratified_part
from toolkit.tuning.search_space import Value, apply_point
from toolkit.tuning.study import TrialRow, make_sampler, open_study, rank_trials, settled_rows, suggest_value

if TYPE_CHECKING:
    import optuna

# What makes a point a failed trial, and the search go on.
UNTRAINABLE = (CheckFailedError, UsageError, torch.OutOfMemoryError, MemoryError)


class _LeftError(BaseException):
    """A trial is left as if this process had been killed: Optuna settles one that ends in any `Exception`."""


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
        """Return schema `toolkit/tune/1`, the rows best first.

        Keys:
            search: `grid` or `tpe`.
            seed: of the search and of every training.
            trials: rows that count.
            folds: of each trial.
            objective: what is made as large as can be, in words.
            standard_error: what it is computed from, in words.
            space: by field: its values, or its ends.
            recipe: what was varied, with every field.
            test_images_used: 0: they choose nothing.
            best: the row of the highest mean accuracy; null where every trial failed.
        """
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
        """A step is done: so many of those of a trial's trainings."""

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
    trials = config.num_trials
    with hear_stop_signals() as stop, open_study(path, config.settings(data)) as study:
        rows = settled_rows(study)
        listener.on_start(study=path, settled=len(rows), trials=trials, images=len(used.train))

        def objective(trial: optuna.Trial) -> float:
            return _run_trial(trial, used, config=config, rows=rows, path=path, stop=stop, after_step=listener.on_step)

        while len(rows) < trials:
            study.sampler = make_sampler(config, len(rows))
            try:
                study.optimize(objective, n_trials=1, catch=UNTRAINABLE)
            except _LeftError as left:
                raise left.__cause__ or left from None
            rows = settled_rows(study)
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


def _run_trial(
    trial: optuna.Trial,
    data: Dataset,
    *,
    config: TuneConfig,
    rows: Sequence[TrialRow],
    path: Path,
    **how: Any,
) -> float:
    """Train a point once a fold, note the results, and return the mean accuracy; `how` is handed on to `fit`."""
    point = {item.key: suggest_value(trial, item) for item in config.space}
    # The same seed gives the same figures: training a point again would tell nothing.
    same = next((row for row in rows if row.state == "done" and row.repeats is None and row.point == point), None)
    try:
        folds = same.folds if same else _train_folds(point, data, config=config, **how)
    except UNTRAINABLE as error:
        trial.set_user_attr("reason", str(error) or "out of memory")
        raise
    except StoppedError as stopped:
        mend = f"trial {len(rows) + 1} is run again; go on with the same command and --study {path}"
        raise _LeftError from StoppedError(f"{stopped}; {mend}", signal=stopped.signal)
    except (Exception, KeyboardInterrupt) as error:
        raise _LeftError from error
    trial.set_user_attr("folds", [asdict(fold) for fold in folds])
    trial.set_user_attr("repeats", same.number if same else None)
    return statistics.fmean(fold.accuracy for fold in folds)


def _train_folds(
    point: Mapping[str, Value], data: Dataset, *, config: TuneConfig, after_step: AfterStep, **how: Any
) -> tuple[FitResult, ...]:
    recipe = apply_point(config.recipe, point).for_dataset(data)
    how["machine"] = choose_machine(recipe, device=config.device, threads=config.threads)
    results: list[FitResult] = []

    def after_any_step(done: int, total: int) -> None:
        after_step(len(results) * total + done, config.folds * total)

    for number, (training, validation) in enumerate(_iterate_folds(data, config)):
        # One seed for all trials: their differences come from the recipe, not from the start of the weights.
        seed = derive_seed(config.seed, "fold", number)
        how["after_step"] = after_any_step
        results.append(fit(training, validation, recipe=recipe.for_count(len(training)), seed=seed, **how))
    return tuple(results)


def _iterate_folds(data: Dataset, config: TuneConfig) -> Iterator[tuple[Split, Split]]:
    if config.folds == 1:
        training, validation = split_data(data, all_data=False)
        assert validation is not None
        yield training, validation
        return
    fold_N = assign_folds(data.train.labels, config.folds, seed=config.seed)
    for fold in range(config.folds):
        yield split_fold(data.train, fold_N, fold=fold)


def _reduce(data: Dataset, config: TuneConfig) -> Dataset:
    if config.max_images and config.max_images < len(data.train):
        data = replace(data, train=stratified_part(data.train, config.max_images, seed=config.seed))
    check_data(data)
    if config.folds > len(data.train):
        assign_folds(data.train.labels, config.folds, seed=config.seed)  # says what is wrong before a study is begun
    return data
