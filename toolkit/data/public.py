"""Which images are public: judged by their content, never by a name."""

from __future__ import annotations

__all__ = ["is_public"]

from toolkit.data.catalog import CATALOG
from toolkit.data.mini_subset import MINI_SHA256


def is_public(sha256: str) -> bool:
    """Say whether a data set's content hash is that of a catalogue entry, whose images may be passed on."""
    return sha256 == MINI_SHA256 or any(entry.content_sha256 == sha256 for entry in CATALOG.values())
