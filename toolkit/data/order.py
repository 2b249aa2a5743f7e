"""The order of images: every stretch of it mixes the classes, and it depends on nothing but the images' names.

The trainer holds out the last training images; in an order by class they would all be of the last one.
"""

from __future__ import annotations

__all__ = ["digest_order", "is_in_class_order", "mix_classes", "spread_classes"]

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from toolkit.data.dataset import Split
from toolkit.progress import OnNote

# The seed of the order: another one would give another, equally good test split.
SALT = b"toolkit/order/1\0"


def digest_order(names: Iterable[bytes]) -> list[bytes]:
    """Return the names in the order of their salted SHA-256.

    A shuffle that is the same on every machine and NumPy version, and whatever the order the names come in; a name
    that is added moves no other past its neighbour.
    """
    return sorted(names, key=lambda name: (hashlib.sha256(SALT + name).digest(), name))


def spread_classes(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the permutation that spreads every class evenly, images of one class staying in their order.

    The r-th of a class's n images goes to the place (r + 1/2) / n between 0 and 1; where two meet, a label's digest
    decides, so that no class is always the first.

    Args:
        labels: int64 `[N]`.

    Returns:
        int64 `[N]`, indices into `labels`.
    """
    places = np.empty(len(labels))
    ties = np.empty(len(labels), dtype=np.uint64)
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        places[positions] = (np.arange(len(positions)) + 0.5) / len(positions)
        ties[positions] = [_tie_breaker(int(label), rank) for rank in range(len(positions))]
    return np.lexsort((ties, places)).astype(np.int64)


def is_in_class_order(labels: npt.NDArray[np.int64]) -> bool:
    """Say whether the images stand class after class, so that the last ones show only the last class."""
    changes = int(np.count_nonzero(np.diff(labels)))
    num_classes = len(np.unique(labels))
    return 1 < num_classes < len(labels) and changes == num_classes - 1


def mix_classes(split: Split, *, name: str, on_note: OnNote) -> Split:
    """Return images that stand class after class in a mixed order, and say so; return others as they are."""
    if not is_in_class_order(split.labels):
        return split
    on_note(f"{name}: its images stand class after class; they are taken in an order that mixes the classes")
    return split.take(spread_classes(split.labels))


def _tie_breaker(label: int, rank: int) -> int:
    return int.from_bytes(hashlib.sha256(SALT + b"%d %d" % (label, rank)).digest()[:8], "big")
