"""mnist-mini: 500 training and 100 test digits of each class of MNIST, inside the package."""

from __future__ import annotations

__all__ = ["MINI_PER_CLASS", "load_mini", "take_stratified"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.data.catalog import MINI_NAME, MNIST
from toolkit.data.dataset import Dataset, Split
from toolkit.data.folder import load_idx_folder
from toolkit.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

MINI_FOLDER = Path(__file__).with_name("mini")
MINI_PER_CLASS = {"train": 500, "test": 100}
MINI_SHA256 = "f666245e32b0a988556b1fca6fdd2dedada07f6849e9a495fe0046044ef14e91"


def load_mini() -> Dataset:
    """Load the embedded subset: 5,000 training and 1,000 test images, uint8 `[N, 28, 28]`, ten classes.

    Raises:
        DataError: the package's files are missing or not the ones it was built with.
    """
    content = load_idx_folder(MINI_FOLDER)
    if content.sha256 != MINI_SHA256:
        seen = f"has SHA-256 {content.sha256}, expected {MINI_SHA256}"
        raise DataError(f"{MINI_FOLDER} {seen}; install the package again")
    return replace(
        content, name=MINI_NAME, licence=MNIST.licence, polarity=MNIST.polarity, fit=MNIST.fit, has_names=True
    )


def take_stratified(split: Split, per_class: int) -> Split:
    """Take `per_class` images of each class, evenly spaced over the class's own images, in the split's order.

    Of a class with n images the ones numbered floor(i * n / per_class) are taken, i = 0 ... per_class - 1. So every
    stretch of the result, its end included, mixes the classes as the full set does. (Taking the first images instead
    would leave only the rarest class at the end, where the validation set is cut off.)

    Args:
        split: the full set, N images.
        per_class: how many of each class, at least 1.

    Raises:
        DataError: a class has fewer images.
    """
    positions = [_spread(split.labels, int(label), per_class) for label in np.unique(split.labels)]
    chosen = np.sort(np.concatenate(positions))
    return split.take(chosen)


def _spread(labels: npt.NDArray[np.int64], label: int, per_class: int) -> npt.NDArray[np.int64]:
    positions = np.flatnonzero(labels == label).astype(np.int64)
    if not 1 <= per_class <= len(positions):
        raise DataError(f"class {label} has {len(positions)} images; cannot take {per_class}")
    return positions[np.arange(per_class) * len(positions) // per_class]
