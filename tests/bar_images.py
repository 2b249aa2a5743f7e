"""Generated images that a tiny network learns in a second: a bright bar whose direction is the class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.data.dataset import Dataset, Split
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import resolve_recipe

__all__ = ["make_bars", "tiny_recipe", "write_bars"]

TINY = ("conv1_channels=2", "conv2_channels=2", "hidden_units=8", "batch_size=16", "precision=float32")


def make_bars(count: int = 120) -> Dataset:
    """Return a data set of 16x16 images in two classes; a third as many test images."""
    train, test = _draw_split(count, seed=0), _draw_split(count // 3, seed=1)
    classes = ("row", "column")
    return Dataset(name="bars", train=train, test=test, classes=classes, licence="x", polarity="any", fit="stretch")


def write_bars(folder: Path) -> Path:
    """Write such a data set where a command can read it, and return the file."""
    bars, path = make_bars(), folder / "bars.npz"
    arrays = {"x_train": bars.train.images, "y_train": bars.train.labels}
    np.savez(path, **arrays, x_test=bars.test.images, y_test=bars.test.labels)
    return path


def tiny_recipe(*settings: str) -> Recipe:
    """Return a recipe whose network fits those images, one epoch unless said otherwise."""
    return resolve_recipe("fast", settings=[*TINY, "kernel_size=3", "epochs=1", *settings])


def _draw_split(count: int, *, seed: int) -> Split:
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (count, 16, 16), np.uint8)
    labels = random.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        place = random.integers(2, 14)
        image[(slice(None), place) if label else (place, slice(None))] = 255
    return Split(images=images, labels=labels)
