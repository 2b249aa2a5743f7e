"""The run that a model file came from, for runtimes that execute a run's network."""

from __future__ import annotations

__all__ = ["find_origin_run"]

from typing import TYPE_CHECKING

from toolkit.artifacts import read_json
from toolkit.card import card_beside
from toolkit.errors import DataError
from toolkit.runtimes.origin import find_origin

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.artifacts import ArtifactStore


def find_origin_run(model: Path, *, store: ArtifactStore) -> Path | None:
    """Return the run whose last checkpoint the card beside a model names, None where there is none.

    A stranger's file has no card, which is no error; the file itself is parsed only in a worker.

    Args:
        model: an .onnx file; its card is looked for beside it.
        store: where the runs lie.
    """
    try:
        wanted = read_json(card_beside(model)).get("checkpoint_sha256")
    except (DataError, AttributeError):
        return None
    return find_origin(wanted, store=store) if isinstance(wanted, str) else None
