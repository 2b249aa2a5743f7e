"""Accuracy against training-set size: nested, stratified subsets, and one validation set for all."""

from __future__ import annotations

__all__ = ["CurveConfig", "CurveListener", "measure_curve", "parse_sizes"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from toolkit.counts import count_of
from toolkit.data.dataset import Dataset, Split
from toolkit.data.trainable import LEAST_IMAGES, check_data
from toolkit.errors import StoppedError, UsageError
from toolkit.training.process import hear_stop_signals
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import describe_recipe
from toolkit.training.session import choose_machine
from toolkit.training.steps.epoch import AfterStep
from toolkit.training.train import split_data
from toolkit.tuning.curve_report import CurveReport, CurveTraining
from toolkit.tuning.fit import fit
from toolkit.tuning.folds import stratified_part

# Stands for every training image.
ALL = "all"
USUAL_SIZES = (500, 1000, 2000, 5000, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveConfig:
    """What to measure.

    Attributes:
        recipe: how to train.
        sizes: numbers of training images, where None stands for all; or None for 500, 1000, 2000, 5000 and 10,000 as
            far as there are more, and all.
        seeds: trainings of each size, every one with its own start, order and subset.
        seed: the first seed; the others follow it.
        equal_steps: train every size for the steps of the largest, instead of the recipe's epochs.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 leaves torch its own choice.
    """

    recipe: Recipe
    sizes: tuple[int | None, ...] | None = None
    seeds: int = 3
    seed: int = 0
    equal_steps: bool = False
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.sizes is not None and (not self.sizes or len(set(self.sizes)) != len(self.sizes)):
            raise UsageError(f"the sizes are {list(self.sizes)}; expected at least one, each once")
        if self.seeds < 1 or self.threads < 0:
            raise UsageError(
                f"{count_of(self.seeds, 'seed')}, {count_of(self.threads, 'thread')}; expected at least 1 seed "
                "and 0 threads"
            )
        if not 0 <= self.seed < 2**63 - self.seeds:
            raise UsageError(f"the seed is {self.seed}; expected 0 to 2^63 - 1")


class CurveListener(Protocol):
    """Hears what happens while a curve is measured."""

    def on_start(self, report: CurveReport, *, trainings: int) -> None:
        """The sizes are settled; what an earlier report holds is in this one already."""

    def on_step(self, done: int, total: int | None) -> None:
        """A step is done: so many of those of all trainings."""

    def on_training(self, report: CurveReport, *, trainings: int) -> None:
        """A training is done, the last of the report; time to save."""


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """Read `500,1000,all`; None stands for all.

    Raises:
        UsageError: a part is neither a whole number of at least 10 nor `all`.
    """
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    for part in parts:
        if part != ALL and (not (part.isascii() and part.isdigit()) or len(part) > 12 or int(part) < LEAST_IMAGES):
            raise UsageError(f"--sizes {text!r}: {part!r} is no size; expected {LEAST_IMAGES} or more, or {ALL}")
    return tuple(None if part == ALL else int(part) for part in parts)


def measure_curve(
    data: Dataset, config: CurveConfig, *, listener: CurveListener, before: dict[str, Any] | None = None
) -> CurveReport:
    """Train every size with every seed and judge each on the same held-out images; the test images are not touched.

    Args:
        data: the data set; its last training images are held out as a training does.
        config: what to measure.
        listener: hears and saves.
        before: an earlier report to go on from: what it holds is not trained again.

    Raises:
        DataError: too few images or classes.
        UsageError: a size is larger than what is left, or the earlier report is of something else.
        ProviderError: the device asked for does not work here.
        CheckFailedError: the loss or a gradient is not finite.
        StoppedError: a signal ended it.
    """
    check_data(data)
    training, validation = split_data(data, all_data=False)
    assert validation is not None
    recipe = config.recipe.for_dataset(data)
    sizes = _resolve_sizes(config.sizes, len(training))
    machine = choose_machine(recipe, device=config.device, threads=config.threads)
    if config.equal_steps:
        recipe = recipe.for_count(sizes[-1])
    steps = recipe.epochs * recipe.count_steps(sizes[-1]) if config.equal_steps else None
    settings = _describe(data, recipe, validation=len(validation), steps=steps)
    report = CurveReport(settings=settings, device=machine.device, trainings=_read_before(before, settings))
    places = [(size, config.seed + number) for number in range(config.seeds) for size in sizes]
    listener.on_start(report, trainings=len(places))
    with hear_stop_signals() as stop:
        recipes = {size: _lengthen(recipe, size, steps=steps) for size in sizes}
        lengths = {size: fitted.epochs * fitted.count_steps(size) for size, fitted in recipes.items()}
        done, total = 0, sum(lengths[size] for size, _ in places)
        for size, seed in places:
            if not report.has(size, seed):
                # One order a seed, of which every size takes the beginning: a larger subset contains the smaller.
                part = stratified_part(training, size, seed=seed)
                how: dict[str, Any] = {"machine": machine, "stop": stop}
                how["after_step"] = _tell_steps(listener, before=done, total=total)
                fitted = _train(part, validation, recipe=recipes[size], seed=seed, **how)
                report = replace(report, trainings=(*report.trainings, fitted))
                listener.on_training(report, trainings=len(places))
            done += lengths[size]
    return report


def _tell_steps(listener: CurveListener, *, before: int, total: int) -> AfterStep:
    return lambda step, _: listener.on_step(before + step, total)


def _train(part: Split, validation: Split, *, recipe: Recipe, seed: int, **how: Any) -> CurveTraining:
    try:
        result = fit(part, validation, recipe=recipe, seed=seed, judges_training=True, **how)
    except StoppedError as stopped:
        message = f"{stopped} with {len(part):,} images and seed {seed}"
        raise StoppedError(message, signal=stopped.signal) from stopped
    return CurveTraining(size=len(part), seed=seed, result=result)


def _resolve_sizes(sizes: Sequence[int | None] | None, available: int) -> list[int]:
    """Return the sizes in ascending order, `all` as its number; without any, the usual ones that there are.

    Raises:
        UsageError: one is larger than what there is.
    """
    if sizes is None:
        return [*(size for size in USUAL_SIZES if size < available), available]
    largest = max((size for size in sizes if size is not None), default=0)
    if largest > available:
        raise UsageError(
            f"a size is {largest:,}, but {available:,} training images are left beside the validation set; "
            f"expected at most that, or {ALL}"
        )
    return sorted({available if size is None else size for size in sizes})


def _lengthen(recipe: Recipe, size: int, *, steps: int | None) -> Recipe:
    """Return the recipe fitted to the size, or with as many epochs as give at least that many steps."""
    if steps is None:
        return recipe.for_count(size)
    return replace(recipe, epochs=math.ceil(steps / recipe.count_steps(size)))


def _describe(data: Dataset, recipe: Recipe, *, validation: int, steps: int | None) -> dict[str, Any]:
    """Return all that decides a training's outcome beside its size and seed."""
    return {
        "data": {"name": data.name, "sha256": data.sha256},
        "validation_count": validation,
        "equal": "epochs" if steps is None else "steps",
        "steps": steps,
        "fitted_to_size": list(recipe.follows_size),
        "recipe": {"name": recipe.name, **describe_recipe(recipe)},
    }


def _read_before(before: dict[str, Any] | None, settings: dict[str, Any]) -> tuple[CurveTraining, ...]:
    if before is None:
        return ()
    report = CurveReport.from_json(before)
    # A recipe is what it does, however it was called when the report was begun.
    was = report.settings["recipe"]
    called = {"name": was.get("name")} if isinstance(was, dict) else {}
    wanted = {**settings, "recipe": {**settings["recipe"], **called}}
    different = [key for key, value in wanted.items() if report.settings.get(key) != value]
    if different:
        was, now = report.settings.get(different[0]), settings[different[0]]
        raise UsageError(
            f"the report to go on from differs in {', '.join(different)}: {different[0]} was {was}, now {now}; "
            "go on as before, or begin anew"
        )
    return report.trainings
