"""Holding images out of a split for validation."""

from __future__ import annotations

__all__ = ["hold_out"]

from toolkit.data.dataset import Split
from toolkit.errors import UsageError


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
