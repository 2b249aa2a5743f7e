"""A data set: two splits of uint8 images with labels, and what they are called.

Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["POLARITIES", "Dataset", "Split", "adopt_classes"]

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from toolkit.card import BYTE_BITS
from toolkit.data.images import Split
from toolkit.data.labels import list_names, match_classes
from toolkit.errors import DataError

POLARITIES = ("light-on-dark", "dark-on-light", "any")
FITS = ("mnist", "stretch", "none")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A training and a test split that share their classes.

    Attributes:
        name: the name it was asked for: a catalogue name or a folder's.
        train: the images to learn from, at least one.
        test: the images to judge by, at least one.
        classes: one unique name for each label value, kept in Unicode's NFC.
        licence: an SPDX identifier, or `unknown`.
        polarity: `light-on-dark`, `dark-on-light` or `any`: which ink on which background the images show.
        fit: `mnist`, `stretch` or `none`: how a picture of another size is brought to this one.
        bits: depth of the numbers that the images were made of: over 8 where they were wider than bytes.
        has_names: whether the data name their classes; else `classes` spells out the labels' numbers.
        verified_sha256: `sha256` as it was when the images came out of files whose hashes the catalogue states; empty
            for a user's own. Other images put in their place have another `sha256`.

    Raises:
        DataError: an empty split, image sizes that differ, repeated classes, a label outside the classes
            (the first such index is named), or an unknown polarity or fit.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    licence: str = "unknown"
    polarity: str = "any"
    fit: str = "stretch"
    bits: int = BYTE_BITS
    has_names: bool = True
    verified_sha256: str = ""
    _sha256: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.polarity not in POLARITIES or self.fit not in FITS:
            expected = f"polarity one of {POLARITIES}, fit one of {FITS}"
            raise DataError(f"polarity {self.polarity!r} and fit {self.fit!r}; expected {expected}")
        object.__setattr__(self, "classes", tuple(unicodedata.normalize("NFC", name) for name in self.classes))
        if len(set(self.classes)) != len(self.classes):
            repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
            raise DataError(f"data set {self.name}: class names repeat: {list_names(repeated)}; give each its own")
        for title, split in (("train", self.train), ("test", self.test)):
            if not len(split):
                raise DataError(f"data set {self.name}: the {title} split is empty; expected at least 1 image")
            self._check_labels(title, split)
        train, test = self.train.image_shape, self.test.image_shape
        if train != test:
            sizes = f"train images are {list(train)}, test images {list(test)}"
            raise DataError(f"data set {self.name}: {sizes}; expected the same size")

    @property
    def height(self) -> int:
        """Rows of an image, in pixels."""
        return self.train.image_shape[0]

    @property
    def width(self) -> int:
        """Columns of an image, in pixels."""
        return self.train.image_shape[1]

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return 1 if len(self.train.image_shape) == 2 else 3

    def describe_input(self) -> dict[str, Any]:
        """Return what a model's input takes over from the data, as a card and a run's config.json have it."""
        return {name: getattr(self, name) for name in ("height", "width", "channels", "polarity", "fit")}

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the content: shapes, dtypes and bytes of the four arrays, and the class names.

        Names, licence, polarity and fit do not enter: the same images under another name are the same content.
        """
        if not self._sha256:
            self._sha256.append(_hash_content(self))
        return self._sha256[0]

    def require_same(self, recorded: Mapping[str, Any], *, owner: str) -> None:
        """Check that this is the data set that a run or a card was made with.

        Args:
            recorded: its `name` and `sha256`.
            owner: who was made with it, for the message.

        Raises:
            DataError: the hashes differ.
        """
        if self.sha256 != recorded["sha256"]:
            raise DataError(
                f"{owner} was made with {recorded['name']} of SHA-256 {recorded['sha256'][:12]}..., but {self.name} "
                f"has {self.sha256[:12]}...; name the same data with --data"
            )

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Names of the classes of which there is no training image: nothing can be learnt of them."""
        return self._missing_in(self.train)

    def describe_gaps(self) -> list[str]:
        """Return, as sentences, which classes have no image to learn from, and which none to be judged by."""
        told = []
        if self.empty_classes:
            told.append(
                f"{_name_some(self.empty_classes, len(self.classes))} no training image, so nothing is learnt of them; "
                f"a wrong label makes such classes: {self._name_rarest()}"
            )
        if unjudged := [name for name in self._missing_in(self.test) if name not in self.empty_classes]:
            told.append(f"{_name_some(unjudged, len(self.classes))} no test image: the accuracy says nothing of them")
        return told

    def _name_rarest(self) -> str:
        """Return where to look: the class that has the fewest images, but some."""
        labels, counts = np.unique(self.train.labels, return_counts=True)
        # No number of an image: their order is ours, so it would say nothing of where the image lies.
        return f"the rarest, {self.classes[int(labels[counts.argmin()])]}, has {counts.min():,}"

    def _missing_in(self, split: Split) -> tuple[str, ...]:
        counts = np.bincount(split.labels, minlength=len(self.classes))
        return tuple(name for name, count in zip(self.classes, counts, strict=True) if not count)

    def _check_labels(self, title: str, split: Split) -> None:
        outside = np.flatnonzero((split.labels < 0) | (split.labels >= len(self.classes)))
        if len(outside):
            index = int(outside[0])
            seen = f"label {split.labels[index]} of {title} image {index}"
            raise DataError(f"data set {self.name}: {seen} is outside the classes 0 to {len(self.classes) - 1}")


def adopt_classes(data: Dataset, known: tuple[str, ...], *, knower: str) -> Dataset:
    """Return a data set with its classes in a model's order, for a use that needs all of them.

    Raises:
        DataError: lists the names that one side lacks.
    """
    if data.classes == known:
        return data
    every = np.arange(len(data.classes))
    places = match_classes(data.classes, known, owner=data.name, knower=knower, used=every)
    missing = [name for name in known if name not in data.classes]
    if missing:
        raise DataError(f"{data.name} lacks classes of {knower}: {list_names(missing)}; expected all {len(known)}")
    train, test = (split.relabel(places[split.labels]) for split in (data.train, data.test))
    return replace(data, classes=known, train=train, test=test)


def _name_some(names: Sequence[str], classes: int) -> str:
    return f"{len(names):,} of {classes:,} classes ({list_names(names)}) {'has' if len(names) == 1 else 'have'}"


def _hash_content(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.test)
    # The header fixes every length, so no two contents share one byte stream.
    arrays = [array for each in splits for array in (["|u1", [len(each), *each.image_shape]], ["<i8", [len(each)]])]
    digest = hashlib.sha256(json.dumps({"arrays": arrays, "classes": list(dataset.classes)}).encode() + b"\n")
    for split in splits:
        for piece in split.iterate_pieces():
            digest.update(np.ascontiguousarray(piece).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()
