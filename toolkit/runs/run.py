"""A run folder, read back: what was trained, on what, and where its weights lie.

A run is named by its folder, by its bare name, or by either with `@12` (the checkpoint kept after epoch 12) or `@best`.
What `config.json` must hold stands here; a file that a user has edited is told so before anything is made of it.
"""

from __future__ import annotations

__all__ = [
    "RUN_SCHEMA",
    "RunConfig",
    "check_run_name",
    "checkpoint_folder",
    "epoch_checkpoint",
    "find_checkpoint",
    "find_run",
    "list_checkpoints",
    "read_run",
    "split_reference",
]

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore
from toolkit.counts import count_of
from toolkit.durable import read_json
from toolkit.errors import DataError, ModelError, UsageError, suggest

LATEST = "latest"
LAST, BEST, EPOCH = "last", "best", "epoch-"
# Of `config.json`: the kinds of what is read from it, part by part.
RUN_SCHEMA = "toolkit/run/1"
Kind = type | tuple[type, ...]
NUMBER = (int, float)
WANTED: dict[str, dict[str, Kind]] = {
    "data": {"name": str, "sha256": str, "licence": str, "train_count": int, "test_count": int},
    "input": {"height": int, "width": int, "channels": int},
    "training": {
        "seed": int,
        "all_data": bool,
        "device": str,
        "precision": str,
        "threads": int,
        "flags": dict,
        "versions": dict,
    },
    "recipe": {"name": str, "network": dict},
    "standardisation": {"std": NUMBER},
}
# Runs of earlier versions lack some of these.
POSSIBLE: dict[str, dict[str, Kind]] = {
    "data": {"source": str},
    "training": {
        "begun_at": str,
        "processes": int,
        "cycles": list,
        "keep_every": int,
        "drift": list,
        "held_out": str,
        "fitted": dict,
    },
}
MOST_EPOCHS = 1_000_000
# No separators, no @ (which names a checkpoint), nothing that a shell reads otherwise.
RUN_NAME = re.compile(r"(?!.*\.onnx$)\w(?:[\w.+=-]*[\w+=-])?", re.IGNORECASE)
MOST_NAME_BYTES = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """`config.json` of a run.

    Attributes:
        path: the run folder.
        checkpoint_path: the checkpoint that stands for the run: its last one, unless another was named.
        recipe: the resolved recipe, with the network's settings.
        data: `name`, `sha256`, `licence`, `train_count`, `validation_count`, `test_count`.
        classes: class names.
        input: height, width, channels, polarity and fit of one image.
        standardisation: `std`, a summary of `mean`, and what it was `computed_on`.
        training: when it began, seed, device, precision, threads, cycles and library versions.
    """

    path: Path
    checkpoint_path: Path
    recipe: dict[str, Any]
    data: dict[str, Any]
    classes: tuple[str, ...]
    input: dict[str, Any]
    standardisation: dict[str, Any]
    training: dict[str, Any]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of one image, pixels."""
        return int(self.input["height"]), int(self.input["width"])

    @property
    def probe_split(self) -> str:
        """What the images that a training holds out, on which an export calibrates and ranks, were to this run.

        `validation` where it held them out; `training` where it was trained on all, or went on with other data than it
        began with, of which nobody knows what they share.
        """
        has_other_data = any(str(item).startswith("data was ") for item in self.training.get("drift", []))
        return "training" if self.training["all_data"] or has_other_data else "validation"

    @property
    def model_name(self) -> str:
        """What a model made of this checkpoint is called: the run's name, with `-epoch12` or `-best` for another."""
        choice = _choice_of(self.checkpoint_path.stem) or ""
        return "-".join(filter(None, (self.path.name, f"epoch{choice}" if choice.isdecimal() else choice)))


def read_run(path: Path) -> RunConfig:
    """Read a run folder's `config.json`.

    Args:
        path: the run folder, with `@12` or `@best` for another checkpoint than the last.

    Raises:
        ModelError: the file is missing or not a run's description.
        UsageError: no such checkpoint was kept.
    """
    folder, choice = split_reference(path)
    config = folder / "config.json"
    try:
        value = read_json(config)
        if value.pop("schema") != RUN_SCHEMA:
            raise ModelError(f"{config} is not of schema {RUN_SCHEMA!r}")
        value["classes"] = tuple(unicodedata.normalize("NFC", name) for name in value["classes"])
        _check_description(value)
        return RunConfig(path=folder, checkpoint_path=_choose_checkpoint(folder, choice), **value)
    except (DataError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{folder} is not a run folder: config.json cannot be read ({error})") from error


def check_run_name(name: str, *, store: ArtifactStore) -> None:
    """Refuse a name that a new run cannot have.

    Raises:
        UsageError: a command would read it otherwise, it is too long, or it is taken.
    """
    if not RUN_NAME.fullmatch(name) or name == LATEST or len(name.encode()) > MOST_NAME_BYTES:
        raise UsageError(
            f"a run cannot be called {name!r}; expected letters, digits and . _ + = - (no . or - in front, no . at the "
            f"end, not latest, not ending in .onnx), at most {MOST_NAME_BYTES} bytes"
        )
    path = store.root / "runs" / name
    if os.path.lexists(path):
        raise UsageError(
            f"the run {path} is there already; choose another name, or delete it with: toolkit runs --delete {name}"
        )


def find_run(name: Path | None, *, store: ArtifactStore) -> Path:
    """Return the run for a path, a bare run name (either with `@12`), `latest`, or None for the latest.

    Raises:
        UsageError: there is no such run.
    """
    if name is None:
        return store.latest_run()
    wanted, choice = split_reference(name)
    known = [path.name for path in (store.root / "runs").glob("*")]
    candidates = [wanted, store.root / "runs" / wanted]
    if str(wanted) == LATEST and LATEST not in known:
        candidates.append(store.latest_run())
    # A folder of the run's name that is none, such as the pictures it was trained on, does not hide the run.
    folders = sorted(
        (path for path in candidates if path.is_dir()), key=lambda path: not (path / "config.json").is_file()
    )
    if folders:
        return folders[0] if choice is None else folders[0].with_name(f"{folders[0].name}@{choice}")
    raise UsageError(f"no run {str(name)!r}{suggest(str(wanted), known)}; runs lie in {store.root / 'runs'}")


def list_checkpoints(run: Path) -> dict[Path, Path]:
    """Return every checkpoint of a run folder, `{reference: JSON beside it}`: the last, the best, then by epoch."""
    described = {path.stem: path for path in checkpoint_folder(run).glob("*.json")}
    kept = sorted((stem for stem in described if stem.startswith(EPOCH)), key=lambda stem: (len(stem), stem))
    choices = {stem: _choice_of(stem) for stem in (LAST, BEST, *kept) if stem in described}
    return {
        run.with_name(f"{run.name}@{choice}") if choice else run: described[stem]
        for stem, choice in choices.items()
        if choice is not None
    }


def find_checkpoint(reference: Path) -> Path:
    """Return the checkpoint that a run folder, `run@12` or `run@best` stands for; the last one may be missing.

    Raises:
        UsageError: no such checkpoint was kept.
    """
    return _choose_checkpoint(*split_reference(reference))


def epoch_checkpoint(run: Path, epoch: int) -> Path:
    """Return where the checkpoint kept after an epoch lies."""
    return checkpoint_folder(run) / f"{EPOCH}{epoch:03d}.safetensors"


def checkpoint_folder(run: Path) -> Path:
    """Return where a run folder's checkpoints lie."""
    return run / "checkpoints"


def split_reference(path: Path) -> tuple[Path, str | None]:
    """Split `runs/name@12` into the folder and `12`; None where there is no @ or a folder is called so."""
    stem, at, choice = path.name.rpartition("@")
    if not at or not stem or path.is_dir():
        return path, None
    return path.with_name(stem), choice


def _check_description(value: dict[str, Any]) -> None:
    """Refuse a description in which something is missing or of another kind.

    Args:
        value: `config.json` as read.

    Raises:
        ValueError: names the part, the key, and what is wrong with it.
        TypeError: a part is no table.
    """
    for part, kinds in WANTED.items():
        missing = [key for key in kinds if key not in value[part]]
        if missing:
            raise ValueError(f"{part} lacks {', '.join(missing)}")
        for key, kind in {**kinds, **POSSIBLE.get(part, {})}.items():
            if key in value[part] and not _is_of(value[part][key], kind):
                raise ValueError(f"{part}.{key} is {value[part][key]!r}; expected {_name_kind(kind)}")
    cycles = value["training"].get("cycles", [])
    if not all(_is_of(epochs, int) and 1 <= epochs <= MOST_EPOCHS for epochs in cycles):
        raise ValueError(f"training.cycles is {cycles!r}; expected whole numbers of epochs")
    if len(set(value["classes"])) != len(value["classes"]):
        raise ValueError("its class names repeat")
    if value["recipe"]["network"].get("classes") != len(value["classes"]):
        raise ValueError(f"{count_of(len(value['classes']), 'class name')} for another number of classes")


def _choose_checkpoint(folder: Path, choice: str | None) -> Path:
    if choice is None:
        return checkpoint_folder(folder) / f"{LAST}.safetensors"
    is_epoch = choice.isdecimal()
    path = epoch_checkpoint(folder, int(choice)) if is_epoch else checkpoint_folder(folder) / f"{BEST}.safetensors"
    if path.exists() and (is_epoch or choice == BEST):
        return path
    names = [reference.name.removeprefix(folder.name) for reference in list_checkpoints(folder) if reference != folder]
    raise UsageError(
        f"the run {folder.name} keeps no checkpoint @{choice}; it keeps {', '.join(names) or 'none'} beside its last "
        "(train with --keep-every 1 to keep every epoch)"
    )


def _choice_of(stem: str) -> str | None:
    """Return what follows the @ for a checkpoint's file name: nothing for the last; None where it is no checkpoint."""
    number = stem.removeprefix(EPOCH)
    if number != stem and number.isdecimal():
        return str(int(number))
    return {LAST: "", BEST: BEST}.get(stem)


def _is_of(value: object, kind: Kind) -> bool:
    # To Python, true is a whole number.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _name_kind(kind: Kind) -> str:
    words = {str: "a word", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}
    return words[kind] if isinstance(kind, type) else "a number"
