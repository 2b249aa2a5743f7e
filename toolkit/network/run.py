"""A run folder, read back: what was trained, on what, and where its weights lie."""

from __future__ import annotations

__all__ = ["RUN_SCHEMA", "RunConfig", "find_run", "read_run"]

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore
from toolkit.errors import ModelError, UsageError, suggest

RUN_SCHEMA = "toolkit/run/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """`config.json` of a run.

    Attributes:
        path: the run folder.
        recipe: the resolved recipe, with the network's settings.
        data: `name`, `sha256`, `licence`, `train_count`, `validation_count`, `test_count`.
        classes: class names.
        input: height, width, channels, polarity and fit of one image.
        standardisation: `std`, a summary of `mean`, and what it was `computed_on`.
        training: seed, device, precision, threads and library versions.
    """

    path: Path
    recipe: dict[str, Any]
    data: dict[str, Any]
    classes: tuple[str, ...]
    input: dict[str, Any]
    standardisation: dict[str, Any]
    training: dict[str, Any]

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint at the end of the run."""
        return self.path / "checkpoints" / "last.safetensors"


def read_run(path: Path) -> RunConfig:
    """Read a run folder's `config.json`.

    Raises:
        ModelError: the file is missing or not a run's description.
    """
    config = path / "config.json"
    try:
        value = json.loads(config.read_bytes())
        if value.pop("schema") != RUN_SCHEMA:
            raise ModelError(f"{config} is not of schema {RUN_SCHEMA!r}")
        value["classes"] = tuple(value["classes"])
        _require_keys(value)
        return RunConfig(path=path, **value)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is not a run folder: config.json cannot be read ({error})") from error


def _require_keys(value: dict[str, Any]) -> None:
    wanted = {
        "data": ("name", "sha256", "licence", "train_count", "test_count"),
        "input": ("height", "width", "channels"),
        "training": ("seed", "all_data", "device"),
        "recipe": ("name", "network"),
        "standardisation": ("std",),
    }
    for part, keys in wanted.items():
        missing = [key for key in keys if key not in value[part]]
        if missing:
            raise ValueError(f"{part} lacks {', '.join(missing)}")
    if value["recipe"]["network"].get("classes") != len(value["classes"]):
        raise ValueError(f"{len(value['classes'])} class names for another number of classes")


def find_run(name: Path | None, *, store: ArtifactStore) -> Path:
    """Return the run folder for a path, a bare run name, or None for the latest.

    Raises:
        UsageError: there is no such run.
    """
    if name is None:
        return store.latest_run()
    for candidate in (name, store.root / "runs" / name):
        if candidate.is_dir():
            return candidate
    known = [path.name for path in (store.root / "runs").glob("*")]
    raise UsageError(f"no run {str(name)!r}{suggest(str(name), known)}; runs lie in {store.root / 'runs'}")
