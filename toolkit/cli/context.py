"""What commands fall back to when nothing is named: the latest run, the latest model."""

from __future__ import annotations

__all__ = ["announce_model", "choose_model", "choose_run", "require_there", "resolve_model"]

from pathlib import Path

from toolkit.api.subjects import find_model
from toolkit.artifacts import ArtifactStore
from toolkit.cli.output import fill_in, note
from toolkit.errors import UsageError


def require_there(path: Path, *, made_by: str) -> Path:
    """Return the path of a file that the user named.

    Args:
        path: the file.
        made_by: the command that writes such files, for the message.

    Raises:
        UsageError: there is nothing of that name.
    """
    if not path.exists():
        raise UsageError(f"no file {path}; {made_by} writes such a file")
    return path


def choose_run(store: ArtifactStore) -> Path:
    """Return the latest run's folder, and say which it is."""
    from toolkit.runs.run import find_run

    path = find_run(None, store=store)
    note(f"using the latest run: {path}")
    fill_in(str(path))
    return path


def resolve_model(model: Path | None, *, store: ArtifactStore) -> Path:
    """Return the model file named, or the latest one, and say which."""
    path = choose_model(model, store=store)
    if model is None:
        announce_model(path, store=store)
    return path


def choose_model(model: Path | None, *, store: ArtifactStore) -> Path:
    """Return the model file named, or the latest one, without a word.

    Raises:
        UsageError: the file named does not exist, or none was named and there is none yet.
    """
    if model is not None:
        return find_model(model, store=store)
    model = store.latest_model()
    fill_in(str(model))
    return model


def announce_model(path: Path, *, store: ArtifactStore) -> None:
    """Say which model is used, and whether the latest one is behind the latest run."""
    note(f"using the model {path}")
    warning = store.stale_model_warning()
    if warning and path == store.latest_model():
        note(f"warning: {warning}")
