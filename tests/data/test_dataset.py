"""Data sets: what they check, what their hash covers, how they are split."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data import Dataset, Split
from toolkit.data.describe import default_class, first_of_class, first_of_each_class
from toolkit.data.load import load_mini
from toolkit.data.split import hold_out, hold_out_validation
from toolkit.errors import DataError, UsageError


def make_split(labels: list[int], *, shape: tuple[int, ...] = (4, 5)) -> Split:
    images = np.zeros((len(labels), *shape), dtype=np.uint8)
    images[:] = np.arange(len(labels)).reshape(-1, *(1 for _ in shape))
    return Split(images=images, labels=np.array(labels, dtype=np.int64))


def make_dataset(**changes: Any) -> Dataset:
    settings: dict[str, Any] = {
        "name": "toy",
        "train": make_split([0, 1, 1, 0, 1]),
        "test": make_split([1, 0]),
        "classes": ("cat", "dog"),
        "licence": "CC0-1.0",
        "polarity": "any",
        "fit": "stretch",
    }
    return Dataset(**(settings | changes))


def test_sizes_come_from_the_images() -> None:
    dataset = make_dataset()
    assert (dataset.height, dataset.width, dataset.channels, len(dataset.train)) == (4, 5, 1, 5)
    colour = {"train": make_split([0], shape=(4, 5, 3)), "test": make_split([0], shape=(4, 5, 3))}
    assert make_dataset(**colour).channels == 3


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 5), np.float32), np.zeros(2, np.int64), r"images are float32 \[2, 4, 5\]"),
        (np.zeros((2, 4), np.uint8), np.zeros(2, np.int64), r"uint8 \[2, 4\]"),
        (np.zeros((2, 4, 5, 4), np.uint8), np.zeros(2, np.int64), r"\[2, 4, 5, 4\]"),
        (np.zeros((2, 0, 5), np.uint8), np.zeros(2, np.int64), "height or width of 0"),
        (np.zeros((2, 4, 5), np.uint8), np.zeros(2, np.uint8), "labels are uint8"),
        (np.zeros((2, 4, 5), np.uint8), np.zeros((2, 1), np.int64), r"int64 \[2, 1\]"),
        (np.zeros((2, 4, 5), np.uint8), np.zeros(1, np.int64), "2 images but 1 label: image 1"),
        (np.zeros((1, 4, 5), np.uint8), np.zeros(3, np.int64), "1 image but 3 labels: label 1"),
    ],
)
def test_split_refuses_arrays_of_another_kind(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split(images=images, labels=labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": make_split([0, 1, 2, 3])}, "label 2 of train image 2 is outside the classes 0 to 1"),
        ({"test": make_split([0, -1])}, "label -1 of test image 1"),
        ({"train": make_split([])}, "train split is empty"),
        ({"test": make_split([])}, "test split is empty"),
        ({"test": make_split([0], shape=(5, 4))}, r"\[4, 5\].*\[5, 4\]"),
        ({"test": make_split([0], shape=(4, 5, 3))}, r"\[4, 5\].*\[4, 5, 3\]"),
        ({"classes": ("cat", "cat")}, "repeat"),
        ({"polarity": "dark"}, "polarity 'dark'"),
        ({"fit": "crop"}, "fit 'crop'"),
    ],
)
def test_dataset_refuses_parts_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_dataset(**changes)


def test_hash_depends_on_content_alone() -> None:
    dataset = make_dataset()
    renamed = replace(dataset, name="other", licence="MIT", polarity="light-on-dark", fit="mnist")
    assert renamed.sha256 == dataset.sha256 == make_dataset().sha256
    assert len(dataset.sha256) == 64


def test_hash_does_not_depend_on_memory_layout() -> None:
    dataset = make_dataset()
    strided = Split(images=np.asfortranarray(dataset.train.images), labels=np.repeat(dataset.train.labels, 2)[::2])
    assert make_dataset(train=strided).sha256 == dataset.sha256


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("array", ["images", "labels"])
def test_hash_changes_with_one_element(part: str, array: str) -> None:
    before, after = make_dataset(), make_dataset()
    getattr(getattr(after, part), array).flat[-1] ^= 1
    assert after.sha256 != before.sha256


def test_hash_changes_with_class_names_and_shape() -> None:
    wide = {"train": make_split([0, 1, 1, 0, 1], shape=(5, 4)), "test": make_split([1, 0], shape=(5, 4))}
    hashes = {make_dataset().sha256, make_dataset(classes=("cat", "cow")).sha256, make_dataset(**wide).sha256}
    assert len(hashes) == 3


def test_replaced_dataset_has_its_own_hash() -> None:
    dataset = make_dataset()
    before = dataset.sha256
    assert replace(dataset, classes=("a", "b")).sha256 != before


@given(size=st.integers(2, 30), data=st.data())
def test_holding_out_takes_the_last_images_and_loses_none(size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, size - 1))
    split = make_split(list(range(size)))
    train, validation = hold_out(split, count)
    assert validation.labels.tolist() == list(range(size - count, size))
    assert [*train.labels, *validation.labels] == list(range(size))
    assert np.array_equal(np.concatenate([train.images, validation.images]), split.images)


@pytest.mark.parametrize("count", [-1, 0, 5, 6])
def test_holding_out_nothing_or_all_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"hold out {count} of 5 images; expected 1 to 4"):
        hold_out(make_split([0] * 5), count)


@pytest.mark.parametrize(
    ("size", "count"), [(60_000, 10_000), (50_000, 10_000), (49_999, 9_999), (4_999, 999), (10, 2)]
)
def test_mixed_images_are_validated_with_the_last_ten_thousand_or_the_last_fifth(size: int, count: int) -> None:
    split = make_split([number % 2 for number in range(size)], shape=(1, 1))
    train, validation = hold_out_validation(split)
    assert len(validation) == count
    assert np.array_equal(np.concatenate([train.images, validation.images]), split.images)


@pytest.mark.parametrize(
    ("labels", "train_counts", "held_out"),
    [
        pytest.param([0] * 5 + [1] * 5, [4, 4], [4, 9], id="two classes of five, class after class"),
        pytest.param([0, 0, 1, 1] * 4 + [2] * 4, [6, 7, 3], [12, 13, 15, 19], id="one class at the end"),
        pytest.param([0] * 18 + [1, 1], [14, 2], [14, 15, 16, 17], id="two of a rare class at the end"),
        pytest.param([1, 0] * 7 + [2], [6, 5, 1], [10, 12, 13], id="a class of one"),
    ],
)
def test_where_the_last_images_do_not_mix_the_classes_every_class_gives_its_own_last(
    labels: list[int], train_counts: list[int], held_out: list[int]
) -> None:
    train, validation = hold_out_validation(make_split(labels))
    assert np.bincount(train.labels).tolist() == train_counts
    assert validation.images[:, 0, 0].tolist() == held_out


@given(labels=st.lists(st.integers(0, 3), min_size=5, max_size=80))
def test_no_class_is_only_validated_with_and_no_image_is_lost(labels: list[int]) -> None:
    train, validation = hold_out_validation(make_split(labels))
    assert set(train.labels) == set(labels)
    assert len(validation) == len(labels) // 5
    assert sorted([*train.images[:, 0, 0], *validation.images[:, 0, 0]]) == list(range(len(labels)))


def test_mnist_mini_is_held_out_from_its_end() -> None:
    labels = load_mini().train.labels
    assert np.array_equal(hold_out_validation(load_mini().train)[1].labels, labels[-1000:])


def test_classes_without_images_are_told_with_the_label_that_made_them() -> None:
    labels = [0, 1, 2] * 4
    labels[5] = 99
    names = tuple(str(number) for number in range(100))
    dataset = make_dataset(train=make_split(labels), test=make_split([0, 1]), classes=names)
    assert dataset.empty_classes == names[3:99]
    untaught, unjudged = dataset.describe_gaps()
    assert untaught == (
        "96 of 100 classes (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22 and 76 more) have no training image, so nothing is learnt of them; a wrong label "
        "makes such classes: the rarest, 99, has 1"
    )
    assert unjudged == "2 of 100 classes (2, 99) have no test image: the accuracy says nothing of them"
    assert make_dataset().describe_gaps() == []


def test_samples_are_the_first_of_each_class_row_by_row() -> None:
    dataset = make_dataset()
    assert first_of_each_class(dataset, 2).tolist() == [[0, 1], [3, 2]]
    assert first_of_each_class(dataset, 9).tolist() == [[0, 1], [3, 2]]


def test_sample_of_one_class_is_found_by_its_name() -> None:
    dataset = make_dataset()
    assert first_of_class(dataset, "dog", count=2).tolist() == [1, 2]
    with pytest.raises(UsageError, match="did you mean 'dog'"):
        first_of_class(dataset, "dogs", count=2)
    with pytest.raises(UsageError, match="no training image"):
        first_of_class(make_dataset(classes=("cat", "dog", "cow")), "cow", count=2)


def test_default_class_is_the_five_where_there_is_one() -> None:
    assert default_class(make_dataset()) == "cat"
    assert default_class(make_dataset(classes=("4", "5"))) == "5"
