"""Which images of a split to show."""

from __future__ import annotations

__all__ = ["default_class", "first_of_class", "first_of_each_class"]

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import UsageError, suggest

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.data.dataset import Dataset


# The tutorial shows ten fives.
PREFERRED_CLASS = "5"


def default_class(dataset: Dataset) -> str:
    """Return the class to show when none is asked for: "5", or the first image's where there is no such class."""
    if PREFERRED_CLASS in dataset.classes:
        return PREFERRED_CLASS
    return dataset.classes[int(dataset.train.labels[0])]


def first_of_each_class(dataset: Dataset, rows: int) -> npt.NDArray[np.int64]:
    """Return the indices of the first training images of each class: row r holds every class's r-th image.

    Args:
        dataset: where to look.
        rows: images of each class, at least 1; fewer where a class has fewer.

    Returns:
        int64 `[rows, classes]`; classes without any training image are left out.
    """
    labels = dataset.train.labels
    positions = [np.flatnonzero(labels == label)[:rows] for label in np.unique(labels)]
    depth = min(len(column) for column in positions)
    return np.stack([column[:depth] for column in positions], axis=1).astype(np.int64)


def first_of_class(dataset: Dataset, name: str, count: int) -> npt.NDArray[np.int64]:
    """Return the indices of the first `count` training images of the class called `name`, int64 `[<= count]`.

    Raises:
        UsageError: no such class, or no training image of it.
    """
    name = unicodedata.normalize("NFC", name)
    if name not in dataset.classes:
        known = ", ".join(dataset.classes)
        raise UsageError(
            f"no class {name!r} in {dataset.name}{suggest(name, dataset.classes)}; expected one of {known}"
        )
    found = np.flatnonzero(dataset.train.labels == dataset.classes.index(name))[:count]
    if not len(found):
        raise UsageError(f"class {name!r} of {dataset.name} has no training image; choose another class")
    return found.astype(np.int64)
