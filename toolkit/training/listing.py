"""What was trained and exported: every run and model of a store in a row, with what is known of it; needs no torch."""

from __future__ import annotations

__all__ = ["RUNS_SCHEMA", "ListedRun", "RunList", "list_runs"]

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore
from toolkit.card import Card
from toolkit.counts import count_of
from toolkit.durable import read_json
from toolkit.errors import ToolkitError, UsageError
from toolkit.holding import is_held
from toolkit.plain import to_plain
from toolkit.runs.run import RunConfig, checkpoint_folder, list_checkpoints, read_run
from toolkit.training.listed_models import Accuracy, ListedModel, as_accuracy, list_model, read_card_beside, time_of
from toolkit.training.recipe_catalog import RECIPES, diff_recipes, recipe_from_json

RUNS_SCHEMA = "toolkit/runs/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run folder.

    Attributes:
        name: as other commands take it.
        path: the folder.
        state: `done`, `training` (a process is at it), `unfinished`, or `damaged`.
        reason: why it is not done, and what to do; empty where it is.
        is_latest: whether commands fall back to it.
        accuracy: of its evaluation; None where there is none.
        recipe: the name of how it was trained.
        base: the product's recipe that this one started from; its own name where nothing was changed.
        changes: what differs from the product's recipe that it started from, `{field: (there, here)}`; what was
            fitted to the number of images is no change.
        data: the data set's name.
        epochs: done.
        planned_epochs: in all.
        time: when its training began, as the run says; else when it was last saved. ISO 8601 in UTC.
        size_bytes: on the disk, of all its files.
        models: the names of the models that were made of its checkpoints.
    """

    name: str
    path: Path
    state: str
    reason: str = ""
    is_latest: bool = False
    accuracy: Accuracy | None = None
    recipe: str = ""
    base: str = ""
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    data: str = ""
    epochs: int = 0
    planned_epochs: int = 0
    time: str
    size_bytes: int
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """All runs and models of a store, each the newest first.

    Attributes:
        root: of the store.
        runs: its run folders.
        models: its model files.
    """

    root: Path
    runs: tuple[ListedRun, ...]
    models: tuple[ListedModel, ...]

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/runs/1`."""
        return {"schema": RUNS_SCHEMA, **to_plain(self)}


def list_runs(store: ArtifactStore) -> RunList:
    """Read what lies in a store; what is unfinished or damaged is a row that says so, never an exception."""
    latest = store.latest_names()
    folders = [path for path in _visible(store.root / "runs") if path.is_dir()]
    files = [path for path in _visible(store.root / "models") if path.suffix == ".onnx" and path.is_file()]
    cards = {path: read_card_beside(path) for path in files}
    # Two runs may hold the same checkpoint: a copy, or the same training again.
    kept = {run: _checkpoint_hashes(run) for run in folders}
    made = {run: [path for path in files if _checkpoint_of(cards[path]) in kept[run]] for run in folders}
    owned = {path: run for run in folders for path in made[run]}
    runs = [_list_run(run, is_latest=run.name == latest["run"], models=made[run]) for run in folders]
    models = [
        list_model(path, cards[path], run=owned.get(path), is_latest=path.name == latest["model"]) for path in files
    ]
    return RunList(
        root=store.root,
        runs=tuple(sorted(runs, key=_age, reverse=True)),
        models=tuple(sorted(models, key=_age, reverse=True)),
    )


def _age(row: ListedRun | ListedModel) -> tuple[str, str]:
    return row.time, row.name


def _list_run(path: Path, *, is_latest: bool, models: list[Path]) -> ListedRun:
    seen: dict[str, Any] = {
        "name": path.name,
        "path": path,
        "is_latest": is_latest,
        "time": time_of(path / "checkpoints" / "last.json", path / "config.json", path),
        "size_bytes": _size_on_disk(path),
        "models": tuple(model.name for model in models),
    }
    is_training = is_held(checkpoint_folder(path))
    try:
        run = read_run(path)
        done, planned = _count_epochs(run)
    except ToolkitError as error:
        if is_training:
            return ListedRun(state="training", reason="it begins just now", **seen)
        return ListedRun(state="damaged", reason=str(error), **seen)
    seen |= {"recipe": run.recipe["name"], "data": run.data["name"], "time": _begun_at(run) or seen["time"]}
    seen |= {"base": str(run.recipe.get("base") or run.recipe["name"]), "changes": _changes(run)}
    state, reason = _state_of(run, done, planned=planned)
    if is_training:
        state, reason = "training", f"{done or 0} of {count_of(planned, 'epoch')} done"
    accuracy = _accuracy_of(path / "evaluation.json") if state == "done" else None
    seen |= {"epochs": done or 0, "planned_epochs": planned, "accuracy": accuracy}
    return ListedRun(state=state, reason=reason, **seen)


def _begun_at(run: RunConfig) -> str:
    """Return what a run says of itself, which a copy does not change; empty where it says nothing that is a time."""
    try:
        begun = datetime.fromisoformat(run.training.get("begun_at", ""))
        return begun.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return ""


def _state_of(run: RunConfig, done: int | None, *, planned: int) -> tuple[str, str]:
    """Return how far a run is at which nobody is, and what to do where it is not done."""
    if done is None:
        return "unfinished", f"stopped before its first save; delete it with: toolkit runs --delete {run.path.name}"
    if done < planned:
        return (
            "unfinished",
            f"{done} of {count_of(planned, 'epoch')}; go on with: toolkit train --resume {run.path.name}",
        )
    if not run.checkpoint_path.is_file():
        return "damaged", f"{run.checkpoint_path} is not there"
    return "done", ""


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if not path.name.startswith(".")]


def _checkpoint_of(card: Card | str) -> str:
    return "" if isinstance(card, str) else card.checkpoint_sha256


def _checkpoint_hashes(run: Path) -> list[str]:
    return [digest for path in list_checkpoints(run).values() if (digest := _entry(path, "sha256")) is not None]


def _count_epochs(run: RunConfig) -> tuple[int | None, int]:
    """Return the epochs done (None before the first save), and those planned."""
    planned = sum(run.training.get("cycles") or [int(run.recipe.get("epochs", 0))])
    beside = run.checkpoint_path.with_suffix(".json")
    if not beside.exists():
        return None, planned
    done = _entry(beside, "epoch", kind=int)
    if done is None:
        raise UsageError(f"{beside}, which describes its last checkpoint, cannot be read")
    return done, planned


def _entry(path: Path, key: str, *, kind: type = str) -> Any:
    """Return what a JSON file has under a key; None where it is no such thing."""
    try:
        value = read_json(path).get(key)
    except (ToolkitError, AttributeError):
        return None
    return value if type(value) is kind else None


def _changes(run: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return in what a run's recipe differs from the product's that it started from, as that is today."""
    base = run.recipe.get("base") or run.recipe["name"]
    fitted = run.training.get("fitted", {})
    try:
        changes = diff_recipes(RECIPES[base], recipe_from_json(run.recipe))
        return {key: pair for key, pair in changes.items() if fitted.get(key, [None])[-1] != pair[1]}
    except (LookupError, TypeError, UsageError):
        return {}  # of another version: its name has to do


def _accuracy_of(evaluation: Path) -> Accuracy | None:
    try:
        return as_accuracy(read_json(evaluation), interval="accuracy_ci95")
    except ToolkitError:
        return None


def _size_on_disk(folder: Path) -> int:
    """Return the bytes of a folder's files; links are not followed."""
    size = 0
    if folder.is_symlink():
        return size
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 - of many files
            except OSError:
                continue
    return size
