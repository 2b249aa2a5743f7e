"""The run that a model came from, found by the hash of its checkpoint."""

from __future__ import annotations

__all__ = ["find_origin"]

import json
from pathlib import Path

from toolkit.artifacts import ArtifactStore


def find_origin(checkpoint_sha256: str, *, store: ArtifactStore) -> Path | None:
    """Return the run folder whose last checkpoint has this hash, or None where there is none.

    The checkpoint's own hash is checked again when it is read.
    """
    for description in sorted((store.root / "runs").glob("*/checkpoints/last.json")):
        try:
            recorded = json.loads(description.read_bytes()).get("sha256")
        except (OSError, ValueError, AttributeError):
            continue  # a damaged run is not the one that is looked for
        if recorded == checkpoint_sha256:
            return description.parent.parent
    return None
