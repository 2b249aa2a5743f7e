"""Going on with a run: from its furthest whole checkpoint, with what it was trained with, unless drift is allowed."""

from __future__ import annotations

__all__ = ["resume_run"]

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore
from toolkit.card import InputSpec
from toolkit.data.dataset import Dataset, adopt_classes
from toolkit.data.trainable import check_data
from toolkit.durable import sha256_bytes, write_json
from toolkit.errors import UsageError
from toolkit.runs.history import History
from toolkit.runs.run import RunConfig, read_run
from toolkit.training.config import ResumeConfig, TrainConfig
from toolkit.training.describe import LAST_ONES, LIBRARIES, describe_run, describe_start, name_held_out, version_of
from toolkit.training.process import hear_stop_signals
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import diff_recipes, recipe_from_json
from toolkit.training.run_writer import RunFolder, find_valid_checkpoint, restore_state
from toolkit.training.session import Machine, Session, choose_machine, make_session
from toolkit.training.steps.process_group import Group, join_group
from toolkit.training.train import TrainListener, TrainReport, run_epochs, split_data


def resume_run(
    run: Path, data: Dataset, *, config: ResumeConfig, store: ArtifactStore, listener: TrainListener
) -> TrainReport:
    """Go on with a run to the end of its epochs, or of more.

    Raises:
        UsageError: something differs from what was recorded and drift is not allowed (every difference is listed), or
            fewer epochs are asked for than were planned.
        DataError: the data have other classes than the run (they are listed): no drift can mend that.
        ModelError: the folder is not a run, or holds no whole checkpoint.
        ResourceError: another training holds the folder; and what `train` raises.
    """
    recorded = read_run(run)
    if recorded.checkpoint_path.stem != "last":
        raise UsageError(f"{run.name} names one checkpoint; a run goes on from its furthest: {recorded.path.name}")
    data = _as_recorded(data, recorded)
    training, validation = split_data(data, all_data=recorded.training["all_data"])
    asked = _resolve(recorded, data, config=config, images=len(training))
    machine = choose_machine(asked.recipe, device=asked.device, threads=asked.threads)
    with hear_stop_signals() as stop, join_group(machine.device) as group:
        drift = _list_drift(recorded, asked, data=data, machine=machine, group=group)
        if drift and not config.allow_drift:
            name, words = recorded.path.name, "; ".join(drift)
            raise UsageError(f"the run {name} cannot go on as it was: {words}; --allow-drift goes on")
        group.require_same(data.sha256, what="data", device=machine.device)
        cycles = _extend(recorded, config, recipe=asked.recipe)
        how: dict[str, Any] = {"seed": asked.seed, "machine": machine, "group": group, "cycles": cycles, "stop": stop}
        session = make_session(training, validation, recipe=asked.recipe, **how)
        folder = RunFolder(recorded.path, keep_every=asked.keep_every)
        with folder.locked() if group.is_main else contextlib.nullcontext():
            history, messages = _restore(session, folder)
            if not group.is_main:
                return run_epochs(session, None, history=history, machine=machine, listener=listener)
            description = describe_run(data, session, machine=machine, config=asked)
            write_json(recorded.path / "config.json", _with_past(description, recorded, drift=drift))
            store.record(started=recorded.path)
            listener.on_start(run=recorded.path, **describe_start(data, session, machine=machine, config=asked))
            listener.on_resume([*messages, *_cycle_words(session, recorded), *(f"drift: {item}" for item in drift)])
            _complete_save(session, folder, history=history)
            report = run_epochs(session, folder, history=history, machine=machine, listener=listener)
        store.record(run=recorded.path)
        return report


def _as_recorded(data: Dataset, recorded: RunConfig) -> Dataset:
    data = adopt_classes(data, recorded.classes, knower=f"run {recorded.path.name}")
    check_data(data)
    # What the pictures are was settled when the run began, whatever would be found in them today.
    spec = InputSpec(**recorded.input)
    return replace(data, polarity=spec.polarity, fit=spec.fit)


def _resolve(recorded: RunConfig, data: Dataset, *, config: ResumeConfig, images: int) -> TrainConfig:
    recipe = config.recipe or recipe_from_json(recorded.recipe)
    how = recorded.training
    return TrainConfig(
        recipe=recipe.for_dataset(data).for_count(images),
        seed=how["seed"] if config.seed is None else config.seed,
        all_data=how["all_data"],
        device=config.device or how["device"],
        threads=config.threads or how["threads"],
        keep_every=how.get("keep_every", 0) if config.keep_every is None else config.keep_every,
        data_source=config.data_source or recorded.data.get("source", ""),
    )


def _list_drift(recorded: RunConfig, asked: TrainConfig, *, data: Dataset, machine: Machine, group: Group) -> list[str]:
    how, held_out = recorded.training, name_held_out(data, asked)
    pairs: dict[str, tuple[Any, Any]] = diff_recipes(recipe_from_json(recorded.recipe), asked.recipe)
    pairs.pop("epochs", None)
    pairs |= {
        "data": (recorded.data["sha256"][:12], data.sha256[:12]),
        "seed": (how["seed"], asked.seed),
        "device": (how["device"], machine.device),
        "precision": (how["precision"], machine.precision),
        "threads": (how["threads"], machine.threads),
        "the images held out": (how.get("held_out", held_out if asked.all_data else LAST_ONES), held_out),
        "processes": (how.get("processes", 1), group.size),
    }
    pairs |= {f"{name} version": (how["versions"].get(name), version_of(name)) for name in LIBRARIES}
    return [f"{name} was {before}, is {now}" for name, (before, now) in pairs.items() if before != now]


def _extend(recorded: RunConfig, config: ResumeConfig, *, recipe: Recipe) -> tuple[int, ...]:
    cycles, epochs = tuple(recorded.training.get("cycles") or [recorded.recipe["epochs"]]), config.epochs
    if epochs is None and recipe.epochs != recorded.recipe["epochs"]:
        epochs = str(recipe.epochs)
    if epochs is None:
        return cycles
    planned = sum(cycles)
    try:
        more = int(epochs) if epochs.startswith("+") else int(epochs) - planned
    except ValueError as error:
        raise UsageError(f"--epochs is {epochs!r}; expected +5 (five more) or 12 (in all)") from error
    if more < 0 or (more == 0 and epochs.startswith("+")):
        raise UsageError(f"--epochs is {epochs}, the run was planned for {planned}; a run can only be made longer")
    return (*cycles, more) if more else cycles


def _with_past(description: dict[str, Any], recorded: RunConfig, *, drift: list[str]) -> dict[str, Any]:
    """Return the description with what only the run's beginning knew, and all drift so far."""
    past = recorded.training
    kept = {"fitted": past.get("fitted", {}), "drift": [*past.get("drift", []), *drift]}
    return {**description, "training": {**description["training"], **kept}}


def _restore(session: Session, folder: RunFolder) -> tuple[History, list[str]]:
    """Bring every process to the furthest whole checkpoint, the same in all: none reads before saves are finished."""
    group, device, run = session.state.group, session.images.device.type, folder.path
    if group.is_main:
        folder.clear_leavings()
    group.gather([0], device=device)
    checkpoint, problems = find_valid_checkpoint(run)
    restore_state(session.state, checkpoint)
    place = session.state.position
    # Nothing is written before all have read.
    found = f"{checkpoint.sha256} at {place.epoch}, {place.step}, {place.updates}"
    group.require_same(sha256_bytes(found.encode()), what="checkpoints to go on from", device=device)
    where = f"epoch {place.epoch}" + (f", step {place.step} of the next" if place.step else "")
    messages = [f"damaged, passed over: {problem}" for problem in problems]
    messages.append(f"going on after {where} from {checkpoint.path.name}")
    path = run / "history.csv"
    return (History.read(path, epochs=place.epoch) if place.epoch else History(path)), messages


def _cycle_words(session: Session, recorded: RunConfig) -> list[str]:
    if session.state.position.epoch >= session.epochs:
        return [f"all {session.epochs} epochs are done; add more with --epochs +5"]
    before = len(recorded.training.get("cycles") or [0])
    if len(session.cycles) > before and session.recipe.schedule != "constant":
        return [f"the schedule {session.recipe.schedule} starts a new cycle of {session.cycles[-1]} epochs"]
    return []


def _complete_save(session: Session, folder: RunFolder, *, history: History) -> None:
    """Repeat the saves of the last whole epoch: a crash may have come between them; the same bytes are written."""
    state = session.state
    if state.position.step or not history.rows:
        folder.save_last(state)
        return
    folder.save_epoch(state, is_best=history.last_is_best)
