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
    "single_engines",
    "some_of",
]

from collections.abc import Callable, Iterable
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.runtimes.providers import PROVIDERS

# `exporters.kits.KITS`, whose package loads torch; a test compares them.
KIT_NAMES = ("python", "node", "web", "c", "cpp", "triton")
# What modules know that take NumPy to load; a test compares them.
DEVICES = ("auto", "cpu", "cuda", "mps")
POLARITIES = ("light-on-dark", "dark-on-light", "any")
SEARCHES = ("tpe", "grid")
ARITHMETICS = ("fp32", "tf32", "bf16", "all")
OPTIMISATIONS = ("all", "extended", "basic", "none")
SCENARIOS = ("single-stream", "multi-stream", "server", "offline", "capacity")
DRIVERS = ("toolkit", "loadgen")
BOUNDARIES = ("host", "device")
BINDINGS = ("auto", "on", "off")
OBJECTIVES = ("latency", "throughput")
ALLOWANCES = ("machine", "model", "settings")
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
    return [name for name in (*catalogue(), *_paths(incomplete)) if name.startswith(incomplete)]


def providers() -> Iterable[str]:
    """Return the providers."""
    return (*PROVIDERS, "auto", "all")


def engines() -> Iterable[str]:
    """Return the engines that people choose from."""
    from toolkit.runtimes.registry import ENGINES

    return (*ENGINES, "all")


def single_engines() -> Iterable[str]:
    """Return what takes one engine by itself."""
    from toolkit.runtimes.registry import ENGINES

    return (*ENGINES, "auto")


def private_engines() -> Iterable[str]:
    """Return the engines that `runtimes install` brings."""
    from toolkit.runtimes.registry import RUNTIMES

    return [name for name, entry in RUNTIMES.items() if entry.private]


def requirements() -> list[str]:
    """Return what `doctor --require` takes: providers, engines, and engines on devices."""
    from toolkit.runtimes.registry import ENGINES, find_runtime

    on_devices = [f"{name}/{device}" for name in ENGINES for device in find_runtime(name).devices]
    return [*PROVIDERS, *ENGINES, *on_devices]


def catalogue() -> Iterable[str]:
    """Return the data sets that can be fetched."""
    from toolkit.data.catalog.entries import dataset_names

    return dataset_names()


def studies() -> list[str]:
    """Return the studies under `artifacts/`."""
    return sorted(path.stem for path in _list(ArtifactStore.default().root / "tune") if path.suffix == ".db")


def json_files(incomplete: str) -> list[str]:
    """Return the reports under `artifacts/`, and files and folders on the way to others."""
    return _files(incomplete, "reports", ending=".json")


def kits() -> Iterable[str]:
    """Return the kits."""
    return (*KIT_NAMES, "all")


def runs() -> list[str]:
    """Return the names of the runs under `artifacts/`."""
    return sorted(path.name for path in _list(ArtifactStore.default().root / "runs") if path.is_dir())


def models(incomplete: str) -> list[str]:
    """Return the models under `artifacts/`, and files and folders on the way to others."""
    return _files(incomplete, "models", ending=".onnx")


def runs_or_models(incomplete: str) -> list[str]:
    """Return the names of runs, and what `models` does."""
    return [*one_of(runs)(incomplete), *models(incomplete)]


def _files(incomplete: str, kept: str, *, ending: str) -> list[str]:
    """Return the files of an ending that are kept below the artifacts, those nearby, and folders."""
    stored = [str(path) for path in _list(ArtifactStore.default().root / kept) if path.suffix == ending]
    nearby = [path for path in _paths(incomplete) if path.endswith(("/", ending))]
    return [path for path in dict.fromkeys([*sorted(stored), *nearby]) if path.startswith(incomplete)]


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
