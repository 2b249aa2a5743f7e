"""A data set in one NPZ file, with MedMNIST's keys or Keras's.

Sources of the keys: MedMNIST v2 (Yang et al., 2023), `<task>.npz`; `keras.datasets.mnist.load_data`, `mnist.npz`.
Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["load_npz"]

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.data.dataset import Split
from toolkit.data.formats.arrays import MAX_ARRAY_BYTES, NpzArrays, open_npz
from toolkit.data.formats.given_arrays import read_images, read_labels
from toolkit.data.gathered import GatheredPictures, join_parts
from toolkit.data.labels import MAX_CLASSES, ClassLabels, number_labels
from toolkit.errors import DataError
from toolkit.progress import OnNote

CLASS_KEYS = ("classes", "class_names")
ROLES = {"train": "train", "val": "validation", "test": "test"}


class _Keys(NamedTuple):
    images: str
    labels: str

    def of(self, part: str) -> tuple[str, str]:
        """Return the keys of a part's images and labels."""
        return self.images.format(part), self.labels.format(part)


KEYS = (_Keys("{}_images", "{}_labels"), _Keys("x_{}", "y_{}"))


def load_npz(path: Path, *, on_note: OnNote = lambda _: None, max_bytes: int = MAX_ARRAY_BYTES) -> GatheredPictures:
    """Load `train_images`, `train_labels`, `test_images`, `test_labels`, or `x_train`, `y_train`, `x_test`, `y_test`.

    Images are `[N, H, W]`, `[N, H, W, c]` or `[N, c, H, W]` (see `find_layout`); alpha is laid over white or black.
    uint8 is taken as it is, bool as 0 and 255, floating-point numbers where all of them are whole and from 0 to 255,
    integers by the depth that all parts have together (see `Depth`). Labels are integers, `[N]` or `[N, 1]`. Classes
    are named by the strings in `classes` or `class_names`, else by the labels' numbers (see `number_labels`).

    A validation part (`val_images` and `val_labels`, or `x_val` and `y_val`) is put at the end of the training images,
    where a training takes its validation images from: nothing is lost, and the split comes out about as it was meant.
    Other arrays are left out.

    Args:
        path: the file; its name without `.npz` becomes the data set's.
        on_note: called with a sentence about each thing that was changed or left out.
        max_bytes: the most bytes of any one array.

    Raises:
        DataError: not NPZ, a key or its partner is missing (all are named), an array that is damaged, too large, of
            Python objects, or not images or labels as above.
    """
    with open_npz(path, max_bytes=max_bytes) as arrays:
        keys = _choose_keys(arrays, path)
        used = {part: keys.of(part) for part in _list_parts(arrays, keys, path=path)}
        pixels = {pair[0]: arrays.read(pair[0]) for pair in used.values()}
        images, bits = read_images(pixels, of=f" in {path}", name=path.name, on_note=on_note)
        parts = {part: _read_split(arrays, pair, images=images, path=path) for part, pair in used.items()}
        names = _read_classes(arrays, path)
    labels = {ROLES[key]: part.labels for key, part in parts.items()}
    if names and max(int(part.max(initial=0)) for part in labels.values()) == len(names):
        raise DataError(
            f"{path} has labels to {len(names)} for {len(names)} names; expected 0 to {len(names) - 1}: subtract 1"
        )
    named = (
        ClassLabels(labels, names, has_names=True) if names else number_labels(labels, name=path.name, on_note=on_note)
    )
    pictures = {ROLES[key]: part.images for key, part in parts.items()}
    return join_parts(pictures, named, name=path.stem, bits=bits, on_note=on_note)


def _choose_keys(arrays: NpzArrays, path: Path) -> _Keys:
    """Return the first family of keys of which any is there; a missing one of its keys is named later."""
    for keys in KEYS:
        if set(keys.of("train")) & set(arrays.names):
            return keys
    expected = " or ".join(", ".join((*keys.of("train"), *keys.of("test"))) for keys in KEYS)
    raise DataError(f"{path} holds {', '.join(arrays.names[:20]) or 'no arrays'}; expected {expected}")


def _list_parts(arrays: NpzArrays, keys: _Keys, *, path: Path) -> list[str]:
    parts = ["train", "test", *(["val"] if set(keys.of("val")) & set(arrays.names) else [])]
    missing = [key for part in parts for key in keys.of(part) if key not in arrays.names]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(arrays.names[:20])}")
    return parts


def _read_split(
    arrays: NpzArrays, keys: tuple[str, str], *, images: dict[str, npt.NDArray[np.uint8]], path: Path
) -> Split:
    labels = read_labels(arrays.read(keys[1]), name=f"{keys[1]} in {path}")
    try:
        return Split(images=images[keys[0]], labels=labels)
    except DataError as error:
        raise DataError(f"{keys[0]} and {keys[1]} in {path}: {error}") from error


def _read_classes(arrays: NpzArrays, path: Path) -> tuple[str, ...]:
    key = next((key for key in CLASS_KEYS if key in arrays.names), None)
    if key is None:
        return ()
    array = arrays.read(key)
    if array.ndim != 1 or array.dtype.kind != "U" or not 1 <= len(array) <= MAX_CLASSES:
        seen = f"{array.dtype} {list(array.shape)}"
        raise DataError(f"{key} in {path} is {seen}; expected 1 to {MAX_CLASSES} strings (dtype U)")
    names = tuple(str(name) for name in array)
    for name in names:
        if not name or not name.isprintable():
            raise DataError(f"{key} in {path} holds {name!r}; expected names that can be printed")
    return names
