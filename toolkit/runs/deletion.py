"""A run goes: its folder, and no more than that; `latest.json` follows."""

from __future__ import annotations

__all__ = ["delete_run", "find_deletable"]

import shutil
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.errors import ResourceError, UsageError
from toolkit.holding import hold
from toolkit.runs.run import checkpoint_folder, find_run


def find_deletable(name: str, *, store: ArtifactStore) -> Path:
    """Return the folder of a run that may be deleted.

    Args:
        name: of a run of the store, `latest`, or the path of a run there.
        store: nothing outside its `runs` is ever deleted.

    Raises:
        UsageError: there is no such run; it is a link, a checkpoint of a run, or lies elsewhere.
    """
    model = store.root / "models" / Path(name).name
    if name.endswith(".onnx") and model.is_file():
        raise UsageError(f"{name} is a model, not a run; remove the file and its card yourself: {model}")
    own = store.root / "runs" / name
    # A folder of this name in the working folder is not meant.
    path = own if Path(name).name == name and own.is_dir() else find_run(Path(name), store=store)
    if path.is_symlink():
        raise UsageError(f"{path} is a link, which is never followed; remove the link yourself")
    if not path.is_dir():  # RUN@12
        raise UsageError(f"{name!r} is a checkpoint of a run; only whole runs are deleted")
    # `..` and a folder somewhere else are no runs of ours, whatever lies in them.
    if path.resolve().parent != (store.root / "runs").resolve() or path.name.startswith("."):
        raise UsageError(f"{path} does not lie in {store.root / 'runs'}; only the runs there are deleted")
    return path


def delete_run(path: Path, *, store: ArtifactStore, successor: str | None) -> None:
    """Delete a run's folder; where it was the latest, another is from now on.

    Args:
        path: as `find_deletable` returns it.
        store: in which it lies.
        successor: the name of the run that is the latest then; None for none.

    Raises:
        ResourceError: a training is at it, or a file cannot be deleted; what is left can be deleted again.
    """
    taken = f"the run {path} is being trained by another process; wait for it, or stop it first"
    with hold(checkpoint_folder(path), taken=taken):
        store.forget_run(path.name, successor=successor)
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise ResourceError(
                f"cannot delete {error.filename or path}: {error.strerror or error}; allow it, and delete the run again"
            ) from error
