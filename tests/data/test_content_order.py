"""The order of own pictures: from the pictures alone, mixed, the same in every layout; none of them is moved."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.dataset import Split
from toolkit.data.gathered import GatheredPictures, arrange
from toolkit.data.labels import sort_names

CLASSES = ("a", "b", "c")


def gather(values: list[tuple[int, int]], *, held_out: bool, num_validation: int = 0) -> GatheredPictures:
    """Return pictures of one value each, given with their labels; every third is for testing unless it is held out."""
    parts = [values, None] if held_out else [values[: 2 * len(values) // 3], values[2 * len(values) // 3 :]]
    splits = [
        None
        if part is None
        else Split(
            images=np.array([[[value]] for _, value in part], np.uint8).reshape(-1, 1, 1),
            labels=np.array([label for label, _ in part], np.int64),
        )
        for part in parts
    ]
    assert splits[0] is not None
    return GatheredPictures(name="own", train=splits[0], test=splits[1], num_validation=num_validation, classes=CLASSES)


pictures = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 255)), min_size=6, max_size=60)


@given(values=pictures, data=st.data())
def test_what_is_held_out_and_its_order_do_not_depend_on_the_order_given(
    values: list[tuple[int, int]], data: st.DataObject
) -> None:
    values = [(0, 1), (0, 2), *values]
    hashes = {arrange(gather(order, held_out=True)).sha256 for order in (values, data.draw(st.permutations(values)))}
    assert len(hashes) == 1


@given(values=pictures)
def test_no_picture_is_lost_and_a_sixth_of_each_class_is_held_out(values: list[tuple[int, int]]) -> None:
    values = [(0, 1), (0, 2), *values]
    dataset = arrange(gather(values, held_out=True))
    found = [
        (int(label), int(image[0, 0]))
        for split in (dataset.train, dataset.test)
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    assert Counter(found) == Counter(values)
    for label, count in Counter(label for label, _ in values).items():
        assert (dataset.test.labels == label).sum() == (max(1, count // 6) if count > 1 else 0)


def test_validation_images_stay_last_and_are_ordered_apart() -> None:
    rng = np.random.default_rng(0)
    values = [(number % 3, int(value)) for number, value in enumerate(rng.permutation(90))]
    one = arrange(gather(values, held_out=False, num_validation=12))
    swapped = [*values[:48][::-1], *values[48:60][::-1], *values[60:][::-1]]
    assert arrange(gather(swapped, held_out=False, num_validation=12)).sha256 == one.sha256
    assert sorted(one.train.images[-12:].ravel()) == sorted(value for _, value in values[48:60])


def test_a_picture_that_is_added_moves_none_of_another_class_out_of_the_test_split() -> None:
    values = [(label, 10 * label + number) for label in range(3) for number in range(10)]
    before, after = (arrange(gather(each, held_out=True)) for each in (values, [*values, (0, 200)]))
    others = [{int(image[0, 0]) for image in each.test.images[each.test.labels > 0]} for each in (before, after)]
    assert others[0] == others[1]


def test_the_order_is_frozen() -> None:
    """Another order would be another data set to every run and card that records its hash."""
    values = [(label, 10 * label + number) for label in range(3) for number in range(4)]
    dataset = arrange(gather(values, held_out=True))
    assert dataset.train.images.ravel().tolist() == [3, 22, 13, 23, 0, 12, 11, 1, 20]
    assert dataset.test.images.ravel().tolist() == [2, 21, 10]


def test_no_pixel_is_moved_or_copied_until_all_are_asked_for() -> None:
    gathered = gather([(number % 3, number) for number in range(60)], held_out=True)
    before = gathered.train.images.copy()
    dataset = arrange(gathered)
    assert dataset.sha256
    assert all(part.stored is gathered.train.images for part in (dataset.train, dataset.test))
    assert len(dataset.test.images) == len(dataset.test) == 9
    assert dataset.test.stored is dataset.test.images, "the copy is kept"
    assert np.array_equal(gathered.train.images, before)


def test_whole_numbers_are_sorted_as_numbers() -> None:
    assert sort_names(["10", "9", "1"]) == ("1", "9", "10")
    assert sort_names(["10", "9", "x"]) == ("10", "9", "x")
