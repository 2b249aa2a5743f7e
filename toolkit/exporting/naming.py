"""What a model is called where nobody named it."""

from __future__ import annotations

__all__ = ["choose_name", "read_card_beside"]

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
    name, count = stem, 1
    while os.path.lexists(path := store.model_path(name)):
        card = read_card_beside(path)  # what cannot be known is another's
        if card is not None and card.checkpoint_sha256 == checkpoint_sha256:
            break
        count += 1
        name = f"{stem}-{count}"
    return name


def read_card_beside(model: Path) -> Card | None:
    """Return the card that lies beside a model; None where there is none, or somebody else's."""
    try:
        return Card.loads(card_beside(model).read_bytes())
    except (OSError, ModelError):
        return None
