"""The run that a model file came from, found by the checkpoint's hash in the card inside the file."""

from __future__ import annotations

__all__ = ["find_origin_run"]

from typing import TYPE_CHECKING

from toolkit.errors import ModelError
from toolkit.runtimes.contract import read_card
from toolkit.runtimes.origin import find_origin
from toolkit.runtimes.vetting import vet_model

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.artifacts import ArtifactStore
    from toolkit.runtimes.source import ModelSource


def find_origin_run(source: ModelSource, *, store: ArtifactStore) -> Path | None:
    """Return the run whose checkpoint the model's card names (see `find_origin`), None where there is none.

    Args:
        source: the model; its card is read from its own bytes, never from a file beside it.
        store: where the runs lie.
    """
    try:
        summary = vet_model(source.model, name=str(source.path), allow_foreign=True)
        card = read_card(summary["metadata"], name=str(source.path))
    except ModelError:
        return None  # a stranger's file has no run; a broken one is refused by the worker
    return find_origin(card.checkpoint_sha256, store=store)
