"""Counts in words."""

from __future__ import annotations

__all__ = ["count_of"]


def count_of(count: int, noun: str, *, plural: str | None = None) -> str:
    """Return `1 image`, `2 images`, `1,000 images`; the plural is the noun with an s unless another is given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
