"""The run that a model came from, found by the hash of its checkpoint."""

from __future__ import annotations

__all__ = ["find_origin", "require_origin"]

import json
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.errors import ModelError
from toolkit.runtimes.contract import read_card


def find_origin(checkpoint_sha256: str, *, store: ArtifactStore) -> Path | None:
    """Return the run folder whose last checkpoint has this hash, or None where there is none.

    The checkpoint's own hash is checked again when it is read.
    """
    runs = sorted(path.parents[1] for path in (store.root / "runs").glob("*/checkpoints/last.json"))
    return next((run for run in runs if _checkpoint_sha256(run) == checkpoint_sha256), None)


def require_origin(run: Path, metadata: dict[str, str], *, name: str) -> None:
    """Refuse to execute a run's network in the name of a file that came from another one.

    Args:
        run: the run folder.
        metadata: the file's metadata strings, its card among them.
        name: the file's name, for messages.

    Raises:
        ModelError: the card is missing or names another checkpoint.
    """
    recorded = read_card(metadata, name=name).checkpoint_sha256
    seen = _checkpoint_sha256(run)
    if seen != recorded:
        raise ModelError(
            f"{name} came from a checkpoint of SHA-256 {recorded[:12]}..., the run {run.name} has {str(seen)[:12]}...; "
            "name the run that it was exported from with --run"
        )


def _checkpoint_sha256(run: Path) -> str | None:
    try:
        recorded = json.loads((run / "checkpoints" / "last.json").read_bytes()).get("sha256")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # a damaged run is not the one that is looked for
    return recorded if isinstance(recorded, str) else None
