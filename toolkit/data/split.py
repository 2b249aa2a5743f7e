"""Holding images out of a split for validation."""

from __future__ import annotations

__all__ = ["count_validation", "ends_mixed", "hold_out", "hold_out_validation"]

import numpy as np
from numpy.typing import NDArray

from toolkit.data.dataset import Split
from toolkit.data.order import spread_classes
from toolkit.errors import UsageError

# The tutorial's number; of fewer than 50,000 images it is a fifth.
VALIDATION_COUNT = 10_000
VALIDATION_SHARE = 5


def hold_out_validation(split: Split) -> tuple[Split, Split]:
    """Return the images to train on and those to validate with: the one rule for training, search and export.

    The last 10,000 are held out, or the last fifth where there are fewer than 50,000. Where they do not mix the
    classes (images that stand class after class, a class of two pictures), every class gives its own last ones.

    Args:
        split: the training images, at least 5.

    Raises:
        UsageError: there are fewer.
    """
    count = count_validation(len(split))
    if count < 1 or ends_mixed(split.labels):
        return hold_out(split, count)
    order = spread_classes(split.labels)
    return split.take(np.sort(order[:-count])), split.take(np.sort(order[-count:]))


def ends_mixed(labels: NDArray[np.int64]) -> bool:
    """Say whether the images that are held out from the end mix the classes about as all of them do.

    A class is there in its share or up to twice as often, at least half as often, and something of it is left.
    """
    count = count_validation(len(labels))
    classes = int(labels.max(initial=0)) + 1
    every = np.bincount(labels, minlength=classes)
    last = np.bincount(labels[len(labels) - count :], minlength=classes)
    share = every * count / max(1, len(labels))
    is_too_rare = (share >= 1) & (last < share / 2)
    is_used_up = (every > 0) & (last == every)
    return not (is_too_rare | is_used_up | (last > 2 * share + 1)).any()


def count_validation(images: int) -> int:
    """Return how many of so many training images are held out for validation."""
    return min(VALIDATION_COUNT, images // VALIDATION_SHARE)


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Take the last `count` images as the validation set: the tutorial's rule.

    The parts are views: no pixel is copied.

    Args:
        split: N images, in an order that mixes the classes.
        count: how many to hold out, 1 to N - 1.

    Returns:
        The first N - count images to train on, and the last `count` to validate with.

    Raises:
        UsageError: `count` leaves one part empty.
    """
    if not 1 <= count < len(split):
        raise UsageError(f"cannot hold out {count} of {len(split)} images; expected 1 to {len(split) - 1}")
    cut = len(split) - count
    return (
        Split(images=split.images[:cut], labels=split.labels[:cut]),
        Split(images=split.images[cut:], labels=split.labels[cut:]),
    )
