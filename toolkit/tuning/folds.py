"""Parts of a split that keep the shares of the classes: nested subsets and cross-validation folds.

Shapes: N images, K folds.
"""

from __future__ import annotations

__all__ = ["assign_folds", "split_fold", "stratified_order", "stratified_part"]

import numpy as np
from numpy.typing import NDArray

from toolkit.data.dataset import Split
from toolkit.errors import UsageError
from toolkit.training.steps.seeding import derive_seed


def stratified_order(labels: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Return an order of the images of which every beginning has the classes in their shares.

    So a longer beginning contains a shorter one: subsets made from it are nested. Of a beginning of n images, a class
    with share s makes up n * s, give or take 0.5 + s * classes / 2.

    Args:
        labels: int64 `[N]`.
        seed: chooses which images of a class come first.

    Returns:
        int64 `[N]`, each index once.
    """
    keys = np.empty(len(labels))
    for chosen in _shuffled_classes(labels, seed, purpose="subset"):
        keys[chosen] = (np.arange(len(chosen)) + 0.5) / len(chosen)
    return np.argsort(keys, kind="stable").astype(np.int64)


def stratified_part(split: Split, count: int, *, seed: int) -> Split:
    """Return `count` images with the classes in their shares, in the order in which they lie in the split.

    Args:
        split: N images.
        count: how many, 1 to N.
        seed: chooses which.

    Raises:
        UsageError: there are not as many.
    """
    if not 1 <= count <= len(split):
        raise UsageError(f"cannot take {count:,} of {len(split):,} training images; expected 1 to {len(split):,}")
    return split.take(np.sort(stratified_order(split.labels, seed=seed)[:count]))


def assign_folds(labels: NDArray[np.int64], folds: int, *, seed: int) -> NDArray[np.int64]:
    """Return each image's fold, 0 to K - 1. Fold sizes differ by at most one, and so do a class's counts.

    Args:
        labels: int64 `[N]`.
        folds: K, 2 to N.
        seed: of the partition.

    Returns:
        int64 `[N]`.

    Raises:
        UsageError: K is out of range.
    """
    if not 2 <= folds <= len(labels):
        raise UsageError(f"cannot make {folds} folds of {len(labels):,} images; expected 2 to {len(labels):,}")
    order = np.concatenate(_shuffled_classes(labels, seed, purpose="folds"))
    fold_N = np.empty(len(labels), np.int64)
    # Dealt out like cards, class after class, so that neither sizes nor classes can differ by more than one.
    fold_N[order] = np.arange(len(labels)) % folds
    return fold_N


def split_fold(split: Split, fold_N: NDArray[np.int64], *, fold: int) -> tuple[Split, Split]:
    """Return the images of all other folds, to train on, and those of one, to judge by."""
    return split.take(np.flatnonzero(fold_N != fold)), split.take(np.flatnonzero(fold_N == fold))


def _shuffled_classes(labels: NDArray[np.int64], seed: int, *, purpose: str) -> list[NDArray[np.int64]]:
    """Return the indices of each class that occurs, in a random order of its own."""
    return [
        np.random.default_rng(derive_seed(seed, purpose, int(label))).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels)
    ]
