"""Which images are public: judged by their content, never by a name."""

from __future__ import annotations

__all__ = ["is_public"]

from typing import TYPE_CHECKING

from toolkit.data.catalog import CATALOG
from toolkit.data.mini_subset import MINI_SHA256

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset


def is_public(dataset: Dataset) -> bool:
    """Say whether a data set holds exactly the images of a catalogue entry, which may be passed on.

    Its content hash is one that the catalogue states, or the one that the images had when they were read from files
    whose own hashes the catalogue states.
    """
    known = {MINI_SHA256, dataset.verified_sha256, *(entry.content_sha256 for entry in CATALOG.values())}
    return dataset.sha256 in known
