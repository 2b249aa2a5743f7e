"""A user's own pictures on their way to a data set: as their file had them, then in the one order of all layouts.

The order depends on the pictures alone, neither on their names nor on where they stood: the same pictures in folders,
in an archive, in a table are the same data set, to the bit.

Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["GatheredPictures", "arrange", "digest_pictures", "join_parts", "settle_parts"]

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from toolkit.card import BYTE_BITS
from toolkit.containers.mapped import expect_any_order
from toolkit.counts import count_of
from toolkit.data.dataset import Dataset, Split
from toolkit.data.labels import MAX_CLASSES, ClassLabels
from toolkit.data.split import spread_classes
from toolkit.errors import DataError
from toolkit.progress import OnNote

# Of a class's n images, n // 6 (at least 1) are the test split: MNIST's own share is one of seven, CIFAR-10's of six.
TEST_SHARE = 6
# The seed of the order: another one would give another, equally good test split.
SALT = b"toolkit/order/2\0"


class _Labelled(Protocol):
    @property
    def labels(self) -> npt.NDArray[np.int64]: ...


Part = TypeVar("Part", bound=_Labelled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatheredPictures:
    """What a file or a folder held, in its own order.

    Attributes:
        name: the data set's.
        train: the images to learn from, those of a validation part last.
        test: the images to judge by; None: they have to be held out.
        num_validation: how many of `train` are the validation part's.
        classes: one name for each label value.
        has_names: see `Dataset`.
        bits: see `Dataset`.

    Raises:
        DataError: more than a thousand classes.
    """

    name: str
    train: Split
    test: Split | None
    num_validation: int = 0
    classes: tuple[str, ...]
    has_names: bool = True
    bits: int = BYTE_BITS

    def __post_init__(self) -> None:
        if len(self.classes) > MAX_CLASSES:
            raise DataError(
                f"{self.name} has {len(self.classes):,} classes; the most is {MAX_CLASSES:,}: leave some out"
            )

    def as_dataset(self) -> Dataset | None:
        """Return the images in the order they came in; None without a test split."""
        return None if self.test is None else self._make(self.train, self.test)

    def _make(self, train: Split, test: Split) -> Dataset:
        return Dataset(
            name=self.name, train=train, test=test, classes=self.classes, has_names=self.has_names, bits=self.bits
        )


def join_parts(
    images: Mapping[str, npt.NDArray[np.uint8]],
    named: ClassLabels,
    *,
    name: str,
    bits: int = BYTE_BITS,
    on_note: OnNote = lambda _: None,
) -> GatheredPictures:
    """Return pictures whose parts lie apart.

    Where there is no test part, the validation part is it.

    Args:
        images: of `train`, and `validation` and `test` where they are.
        named: their labels and classes.
        name: the data set's.
        bits: see `Dataset`.
        on_note: called with a sentence about the validation part.

    Raises:
        DataError: the parts' images have different sizes.
    """
    parts = {role: Split(images=array, labels=named.labels[role]) for role, array in images.items()}
    sizes = {role: list(part.images.shape[1:]) for role, part in parts.items()}
    if len({str(size) for size in sizes.values()}) > 1:
        seen = ", ".join(f"{role} images are {size}" for role, size in sizes.items())
        raise DataError(f"{name}: {seen}; expected the same size")
    train, validation, test = settle_parts(parts, name=name, on_note=on_note)
    if validation is not None:
        train = Split(
            images=np.concatenate([train.images, validation.images]),
            labels=np.concatenate([train.labels, validation.labels]),
        )
    return GatheredPictures(
        name=name,
        train=train,
        test=test,
        num_validation=0 if validation is None else len(validation),
        classes=named.classes,
        has_names=named.has_names,
        bits=bits,
    )


def settle_parts(parts: Mapping[str, Part], *, name: str, on_note: OnNote) -> tuple[Part, Part | None, Part | None]:
    """Return what is trained on, what validates, and what tests: where there is no test part, the validation part does.

    Args:
        parts: `train`, and `validation` and `test` where they are.
        name: what they are called in notes.
        on_note: called with a sentence about the validation part.
    """
    train, validation, test = parts["train"], parts.get("validation"), parts.get("test")
    if validation is not None and test is None:
        on_note(f"{name}: no test part: its validation part is taken as the test split")
        return train, None, validation
    if validation is not None:
        held = count_of(len(validation.labels), "validation image")
        on_note(
            f"{name}: its {held} {'stands' if len(validation.labels) == 1 else 'stand'} last among the training images"
        )
    return train, validation, test


def arrange(gathered: GatheredPictures, *, on_note: OnNote = lambda _: None) -> Dataset:
    """Put pictures into the order of their content, and hold a test split out where there is none; none is moved.

    Within each part the images of a class are ordered by a salted SHA-256 of the class's name and the pixels; then
    `spread_classes` mixes the classes evenly. A test split that has to be held out is the last sixth of every class, at
    least one image of two; a class of one image has none.

    Args:
        gathered: its arrays stay as they are, and are what the data set looks at.
        on_note: called with a sentence about what was held out.

    Raises:
        DataError: a label outside the classes, no images, and what `Dataset` raises.
    """
    train, test = gathered.train, gathered.test
    if not len(train):
        raise DataError(f"{gathered.name} holds no training images; expected at least 1")
    if test is None:
        order = _order_by_content(train, gathered.classes)
        is_held_out = _choose_test(train.labels[order])
        kept, held_out = order[~is_held_out], order[is_held_out]
        both = np.concatenate(
            [kept[spread_classes(train.labels[kept])], held_out[spread_classes(train.labels[held_out])]]
        )
        train, test = train.take(both).cut(len(kept))
        on_note(f"{gathered.name}: no test part: {len(test):,} images, a sixth of each class, are held out as one")
    else:
        cut = len(train) - gathered.num_validation
        parts = [_mixed_order(part, gathered.classes) for part in train.cut(cut)]
        train = train.take(np.concatenate([parts[0], cut + parts[1]]))
        test = test.take(_mixed_order(test, gathered.classes))
    for split in (train, test):
        expect_any_order(split.stored)
    return gathered._make(train, test)


def digest_pictures(split: Split) -> set[bytes]:
    """Return a digest of each picture: equal ones have one."""
    return {hashlib.sha256(image.tobytes()).digest() for piece in split.iterate_pieces() for image in piece}


def _mixed_order(split: Split, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    order = _order_by_content(split, classes)
    return order[spread_classes(split.labels[order])]


def _order_by_content(split: Split, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Return the order class after class, inside a class by digest; equal pictures are interchangeable."""
    # A label outside the classes is told later, by its number.
    names = {label: classes[label].encode() if 0 <= label < len(classes) else b"" for label in np.unique(split.labels)}
    digests = b"".join(
        hashlib.sha256(b"%b%b\0%b" % (SALT, names[label], image.tobytes())).digest()[:16]
        for image, label in zip(split.images, split.labels.tolist(), strict=True)
    )
    high, low = np.frombuffer(digests, ">u8").reshape(-1, 2).T
    return np.lexsort((low, high, split.labels)).astype(np.int64)


def _choose_test(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell which of the images that stand class after class are held out."""
    _, counts = np.unique(labels, return_counts=True)
    ends = np.cumsum(counts)
    is_held_out = np.zeros(len(labels), bool)
    for count, end in zip(counts.tolist(), ends.tolist(), strict=True):
        if count > 1:
            is_held_out[end - max(1, count // TEST_SHARE) : end] = True
    return is_held_out
