"""`toolkit.train`: data and a recipe become a run, judged on the test images."""

from __future__ import annotations

__all__ = ["train"]

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.api.data import is_own, load_given, load_recorded, locate_data, remember_data
from toolkit.api.evaluate import report_evaluation
from toolkit.api.failures import in_callers_words
from toolkit.api.listener import Listener, NoteKeeper
from toolkit.api.run_report import RunReport
from toolkit.api.words import DEFAULT_DATA, DEFAULT_RECIPE, split_settings, split_size, write_call
from toolkit.artifacts import ArtifactStore
from toolkit.data.dataset import Dataset
from toolkit.data.pictures import LabelledPictures
from toolkit.durable import write_json
from toolkit.errors import UsageError
from toolkit.evaluation.candidate import RunCandidate
from toolkit.evaluation.evaluate import evaluate_pictures
from toolkit.evaluation.report import EvaluationReport
from toolkit.progress import ShowProgress
from toolkit.runs.history import EpochRow, describe_divergence
from toolkit.runs.run import check_run_name, find_run, read_run
from toolkit.training.config import ResumeConfig, TrainConfig
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import change_recipe, recipe_from_json, resolve_recipe

if TYPE_CHECKING:
    from toolkit.api.data import Data
    from toolkit.api.subjects import PathLike
    from toolkit.network.config import NetworkConfig
    from toolkit.training.session import Machine
    from toolkit.training.train import TrainReport

# Of a run, when it begins.
SETTLED = ("name", "all_data", "size", "polarity")


@in_callers_words
def train(
    data: Data | None = None,
    *,
    recipe: str | os.PathLike[str] | Recipe | None = None,
    set: Mapping[str, object] | Iterable[str] | str | None = None,  # noqa: A002 - the option's own name
    epochs: int | str | None = None,
    seed: int | None = None,
    size: int | tuple[int, int] | str | None = None,
    polarity: str | None = None,
    name: str | None = None,
    all_data: bool = False,
    device: str | None = None,
    threads: int | None = None,
    resume: PathLike | None = None,
    keep_every: int | None = None,
    allow_drift: bool = False,
    on_epoch: Callable[[EpochRow], object] | None = None,
    listener: Listener | None = None,
) -> RunReport:
    """Train the network, or go on with a run, and judge it on the test images.

    Args:
        data: what to learn from and to be judged by: a name (`mnist`, `mnist-mini`, ...), a path, `(images, labels)`,
            `((images, labels), (test_images, test_labels))`, or a `toolkit.Dataset`; `mnist`, or what the run that goes
            on was trained on, by default.
        recipe: how to train: a name, a `.toml` file or a `Recipe`; `fast` by default.
        set: fields of the recipe or the network, `{"dropout": 0.3}`.
        epochs: of the training; with `resume` in all, or "+5" for five more.
        seed: of everything random; 0 by default.
        size: to which your own images are resized: 64, or (height, width); 16 to 128.
        polarity: what your own images are: `light-on-dark`, `dark-on-light`, `any`; told from them by default.
        name: what the run is called; by default data, recipe, seed and time.
        all_data: train on every image; hold none out for validation.
        device: `auto` (the default), `cpu`, `cuda` or `mps`.
        threads: CPU threads; torch's own choice by default.
        resume: a run to go on with: its report, name or folder, or `latest`.
        keep_every: keep every n-th epoch's checkpoint, for `RUN@N`.
        allow_drift: go on although recipe, data, seed, threads or versions differ.
        on_epoch: called after every epoch with its row.
        listener: hears how far it is.

    Returns:
        The run's folder, its history, and its accuracy on the test images.

    Raises:
        UsageError: there is no such data, recipe or run, or the words make no sense together.
        DataError: the data cannot be learnt from, or have other classes than the run that goes on.
        ModelError: the run that goes on is damaged.
        ProviderError: the device asked for does not work here.
        CheckFailedError: the loss or a gradient stopped being finite.
        ResourceError: the results cannot be written.
    """
    given = locals()
    call, told = write_call(train, given), _Hearing(NoteKeeper(listener), on_epoch)
    settings = split_settings(set)
    how = {key: given[key] for key in ("seed", "device", "threads", "keep_every") if given[key] is not None}
    if resume is None:
        if allow_drift:
            raise UsageError("--allow-drift belongs to --resume")
        how |= {"all_data": all_data, "name": name or ""}
        config = TrainConfig(recipe=_resolve(recipe, settings, epochs=epochs), data_source=locate_data(data), **how)
        return _begin(data, config, size=split_size(size), polarity=polarity, told=told, call=call)
    settled = next((key for key in SETTLED if given[key] not in {None, False}), None)
    if settled is not None:
        raise UsageError(f"--{settled.replace('_', '-')} is settled when a run begins; it cannot change with --resume")
    how |= {"epochs": None if epochs is None else str(epochs), "allow_drift": allow_drift}
    return _go_on(resume, data, how=how, recipe=recipe, settings=settings, told=told, call=call)


class _Hearing:
    """A training's listener that tells the caller's, and what is called after every epoch."""

    def __init__(self, listener: NoteKeeper, on_epoch: Callable[[EpochRow], object] | None) -> None:
        self.listener = listener
        self.recipe: Recipe | None = None
        self.on_step: ShowProgress = lambda _, __: None
        self.on_resume = listener.on_resume
        self._call = on_epoch

    def on_start(
        self, *, network: NetworkConfig, machine: Machine, processes: int, run: Path, notes: list[str]
    ) -> None:
        self.listener.on_start(
            network=network, machine=machine, processes=processes, run=run, notes=notes, recipe=self.recipe
        )

    def on_epoch(self, rows: list[EpochRow], *, epochs: int, run: Path) -> None:
        self.listener.on_epoch(rows, epochs=epochs, run=run)
        if self._call is not None:
            self._call(rows[-1])


def _resolve(
    recipe: str | os.PathLike[str] | Recipe | None, settings: list[str], *, epochs: int | str | None
) -> Recipe:
    if isinstance(epochs, str) and epochs.startswith("+"):
        raise UsageError(f"--epochs {epochs} adds to a run; name it with --resume, or write --epochs {epochs[1:]}")
    settings = [*settings, *([] if epochs is None else [f"epochs={epochs}"])]
    return change_recipe(_find_recipe(recipe), settings)


def _find_recipe(recipe: str | os.PathLike[str] | Recipe | None) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else resolve_recipe(os.fspath(recipe or DEFAULT_RECIPE))


def _begin(
    data: Data | None,
    config: TrainConfig,
    *,
    size: tuple[int, int] | None,
    polarity: str | None,
    told: _Hearing,
    call: str,
) -> RunReport:
    store, listener = ArtifactStore.default(), told.listener
    if config.name:
        check_run_name(config.name, store=store)  # before data are fetched for it
    dataset = load_given(DEFAULT_DATA if data is None else data, listener=listener, size=size, polarity=polarity)
    if is_own(data) and dataset.polarity != "any":
        words = "as asked" if polarity else "as its training images show"
        listener.note(
            f"{dataset.name} is {dataset.polarity}, {words}: a picture that is not will be inverted for a prediction"
        )
    told.recipe = config.recipe
    from toolkit.training.train import train as train_network  # torch, once all of it is known to make sense

    work = partial(train_network, dataset, config, store=store, listener=told)
    return _carry_out(dataset, work, given=data, told=told, call=call)


def _go_on(
    resume: PathLike,
    data: Data | None,
    *,
    how: dict[str, Any],
    recipe: str | os.PathLike[str] | Recipe | None,
    settings: list[str],
    told: _Hearing,
    call: str,
) -> RunReport:
    store = ArtifactStore.default()
    run = store.latest_started_run() if os.fspath(resume) == "latest" else find_run(Path(resume), store=store)
    recorded = read_run(run)
    data = remember_data(resume, data)
    dataset = load_recorded(data, recorded.data, listener=told.listener, size=recorded.image_size)
    base = recipe_from_json(recorded.recipe) if recipe is None else _find_recipe(recipe)
    is_asked = recipe is not None or settings
    changed = change_recipe(base, settings) if is_asked else None
    config = ResumeConfig(recipe=changed, data_source=locate_data(data), **how)
    from toolkit.training.resume import resume_run

    work = partial(resume_run, run, dataset, config=config, store=store, listener=told)
    return _carry_out(dataset, work, given=data, told=told, call=call)


def _carry_out(
    dataset: Dataset, work: Callable[[], TrainReport], *, given: Data | None, told: _Hearing, call: str
) -> RunReport:
    from toolkit.training.borrowed import torch_borrowed

    listener, gaps = told.listener, dataset.describe_gaps()
    for words in gaps:
        listener.note(f"warning: {words}")
    judged = None
    with torch_borrowed():
        with listener.progress("training", unit="steps") as bar:
            told.on_step = bar
            trained = work()
        if trained.is_main:
            with listener.progress("judging the run on the test images"):
                judged = _judge(trained.run, dataset, command=listener.repeat(call))
    doubts = [] if judged is None else judged.figures.describe_chance(dataset.classes)
    doubts += describe_divergence(trained.rows, num_classes=len(dataset.classes))
    for words in doubts:
        listener.note(f"warning: {words}")
    return RunReport(
        trained=trained,
        judged=judged,
        warnings=(*gaps, *doubts),
        notes=tuple(listener.notes),
        command=listener.repeat(call),
        data=None if given is None or isinstance(given, str | os.PathLike) else dataset,
    )


def _judge(run: Path, dataset: Dataset, *, command: str) -> EvaluationReport:
    """Judge a run on its test images, and write that beside it."""
    pictures = LabelledPictures.of_test(dataset)
    with RunCandidate(run) as candidate:
        judged = evaluate_pictures(candidate, pictures)
        report = report_evaluation(candidate, judged, pictures=pictures, command=command)
    write_json(run / "evaluation.json", report.to_json())
    return report
