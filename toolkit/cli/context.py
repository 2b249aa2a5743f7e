"""What commands fall back to when nothing is named: the latest run, the latest model, its data."""

from __future__ import annotations

__all__ = [
    "announce_model",
    "choose_model",
    "load_data",
    "require_there",
    "resolve_model",
    "resolve_run",
]

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.api.subjects import find_model
from toolkit.artifacts import ArtifactStore
from toolkit.cli.output import Output, fill_in, note
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.data import Dataset


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


def resolve_run(run: Path | None, *, store: ArtifactStore) -> Path:
    """Return the run folder named, or the latest one, and say which."""
    from toolkit.runs.run import find_run

    path = find_run(run, store=store)
    if run is None:
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


def load_data(
    name: str, output: Output, *, size: tuple[int, int] | None = None, polarity: str | None = None
) -> Dataset:
    """Load a data set behind a progress bar and say what was left out or changed.

    Args:
        name: a name or a path.
        output: shows the bar.
        size: height and width to which a user's own images are resized; None leaves them.
        polarity: what a user's own images are; None: told from the training images.
    """
    from toolkit.data import load_dataset

    with output.progress(f"loading {Path(name).name}", unit="bytes") as bar:
        return load_dataset(name, size=size, polarity=polarity, progress=bar, on_note=note)
