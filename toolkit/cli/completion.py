"""Values that a shell completes: what there is to choose from, looked up when it is asked for."""

from __future__ import annotations

__all__ = [
    "data_names",
    "engines",
    "kits",
    "models",
    "one_of",
    "providers",
    "recipes",
    "runs",
    "runs_or_models",
    "setting_keys",
    "some_of",
]

from collections.abc import Callable, Iterable
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.runtimes.providers import PROVIDERS

# `exporters.kits.KITS`, whose package loads torch; a test compares them.
KIT_NAMES = ("python", "node", "web", "c", "cpp", "triton")
Look = Callable[[], Iterable[str]]


def one_of(look: Look | Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes a single name, for an option's `autocompletion`."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in (look() if callable(look) else look) if name.startswith(incomplete)]

    return complete


def some_of(look: Look | Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes the last of several names with commas between them."""
    complete_last = one_of(look)

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in complete_last(last)]

    return complete


def recipes() -> Iterable[str]:
    """Return the recipes' names."""
    from toolkit.training.recipe_catalog import RECIPES

    return RECIPES


def setting_keys() -> list[str]:
    """Return every field that `--set` takes, with the sign that comes next."""
    from toolkit.training.recipe_catalog import RECIPES
    from toolkit.training.recipe_fields import list_fields

    return [f"{field.key}=" for field in list_fields(next(iter(RECIPES.values())))]


def data_names(incomplete: str) -> list[str]:
    """Return the names of data sets, and the files and folders on the way to one's own."""
    from toolkit.data.catalog.entries import dataset_names

    return [name for name in (*dataset_names(), *_paths(incomplete)) if name.startswith(incomplete)]


def providers() -> Iterable[str]:
    """Return the providers."""
    return (*PROVIDERS, "auto", "all")


def engines() -> Iterable[str]:
    """Return the engines that people choose from."""
    from toolkit.runtimes.registry import ENGINES

    return (*ENGINES, "all")


def kits() -> Iterable[str]:
    """Return the kits."""
    return (*KIT_NAMES, "all")


def runs() -> list[str]:
    """Return the names of the runs under `artifacts/`."""
    return sorted(path.name for path in _list(ArtifactStore.default().root / "runs") if path.is_dir())


def models(incomplete: str) -> list[str]:
    """Return the models under `artifacts/`, and files and folders on the way to others."""
    stored = [str(path) for path in _list(ArtifactStore.default().root / "models") if path.suffix == ".onnx"]
    nearby = [path for path in _paths(incomplete) if path.endswith(("/", ".onnx"))]
    return [path for path in dict.fromkeys([*sorted(stored), *nearby]) if path.startswith(incomplete)]


def runs_or_models(incomplete: str) -> list[str]:
    """Return the names of runs, and what `models` does."""
    return [*one_of(runs)(incomplete), *models(incomplete)]


def _paths(incomplete: str) -> list[str]:
    """Return what lies in the folder that is being typed; folders end in `/`."""
    before, slash, _ = incomplete.rpartition("/")
    found = _list(Path(before + slash or "."))
    return sorted(f"{before}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in found)


def _list(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:  # a shell that completes says nothing
        return []
