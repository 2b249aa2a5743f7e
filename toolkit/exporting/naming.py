"""What a model is called where nobody named it."""

from __future__ import annotations

__all__ = ["choose_name"]

import itertools
import os
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.card import Card, card_beside
from toolkit.errors import ModelError


def choose_name(stem: str, checkpoint_sha256: str, *, store: ArtifactStore) -> str:
    """Return the stem, or the stem with `-2`, `-3` ... where files of other checkpoints have the names before it.

    A run that was gone on with is exported beside the file of its earlier state; the same checkpoint finds its own.

    Args:
        stem: the name wanted.
        checkpoint_sha256: of the checkpoint that is exported.
        store: where models lie.
    """
    for count in itertools.count(1):
        name = stem if count == 1 else f"{stem}-{count}"
        path = store.model_path(name)
        if not os.path.lexists(path) or _made_from(path) == checkpoint_sha256:
            return name
    raise AssertionError("counting never ends")


def _made_from(model: Path) -> str | None:
    try:
        return Card.loads(card_beside(model).read_bytes()).checkpoint_sha256
    except (OSError, ModelError):
        return None  # what cannot be known is another's
