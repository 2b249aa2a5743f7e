"""Subsets and folds keep the classes' shares, overlap as they should, and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from bar_images import make_bars
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolkit.data.dataset import Split
from toolkit.errors import UsageError
from toolkit.tuning.folds import assign_folds, split_fold, stratified_order, stratified_part

LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=80).map(lambda values: np.array(values, np.int64))
SEEDS = st.integers(0, 2**63 - 1)


@given(LABELS, SEEDS, st.data())
def test_folds_part_the_images_and_keep_the_classes(labels: NDArray[np.int64], seed: int, data: st.DataObject) -> None:
    folds = data.draw(st.integers(2, len(labels)))
    fold_N = assign_folds(labels, folds, seed=seed)
    assert set(fold_N) == set(range(folds))
    for group in (np.ones(len(labels), bool), *(labels == label for label in np.unique(labels))):
        counts = np.bincount(fold_N[group], minlength=folds)
        assert counts.max() - counts.min() <= 1


@given(LABELS, SEEDS)
def test_every_beginning_of_the_order_keeps_the_shares(labels: NDArray[np.int64], seed: int) -> None:
    order = stratified_order(labels, seed=seed)
    assert sorted(order) == list(range(len(labels)))
    classes = np.unique(labels)
    for label in classes:
        share = float((labels == label).mean())
        counts = np.cumsum(labels[order] == label)
        expected = np.arange(1, len(labels) + 1) * share
        assert np.abs(counts - expected).max() <= 0.5 + share * len(classes) / 2 + 1e-9


def images_of(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def test_a_larger_part_contains_the_smaller_and_labels_stay_with_their_images() -> None:
    whole = make_bars().train
    label_of = {image.tobytes(): label for image, label in zip(whole.images, whole.labels, strict=True)}
    parts = [stratified_part(whole, count, seed=3) for count in (10, 50, 120)]
    assert [len(images_of(part)) for part in parts] == [10, 50, 120]
    assert images_of(parts[0]) < images_of(parts[1]) < images_of(parts[2])
    for part in parts:
        assert all(label_of[image.tobytes()] == label for image, label in zip(part.images, part.labels, strict=True))


def test_each_image_is_judged_in_one_fold_and_never_trained_on_there() -> None:
    whole = make_bars().train
    fold_N = assign_folds(whole.labels, 3, seed=0)
    judged: list[bytes] = []
    for fold in range(3):
        training, validation = split_fold(whole, fold_N, fold=fold)
        assert not images_of(training) & images_of(validation)
        assert len(training) + len(validation) == 120
        judged += [image.tobytes() for image in validation.images]
    assert sorted(judged) == sorted(image.tobytes() for image in whole.images)


def test_another_seed_gives_other_folds_and_other_parts() -> None:
    labels = make_bars().train.labels
    assert (assign_folds(labels, 3, seed=0) == assign_folds(labels, 3, seed=0)).all()
    assert (assign_folds(labels, 3, seed=0) != assign_folds(labels, 3, seed=1)).any()
    assert set(stratified_order(labels, seed=0)[:20]) != set(stratified_order(labels, seed=1)[:20])


def test_more_than_there_is_is_refused() -> None:
    whole = make_bars().train
    with pytest.raises(UsageError, match="cannot take 121 of 120"):
        stratified_part(whole, 121, seed=0)
    for folds in (1, 121):
        with pytest.raises(UsageError, match=f"cannot make {folds} folds of 120"):
            assign_folds(whole.labels, folds, seed=0)
