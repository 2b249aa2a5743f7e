"""A data set in arrays that a program gives; and what arrays of any origin hold, as images and labels.

Shapes: N images, H rows, W columns, c channels.
"""

from __future__ import annotations

__all__ = ["gather_arrays", "read_images", "read_labels"]

from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.card import BYTE_BITS
from toolkit.data.array_layout import check_type, find_layout
from toolkit.data.dataset import Split
from toolkit.data.gathered import GatheredPictures, join_parts
from toolkit.data.labels import MAX_CLASSES, ClassLabels, name_labels, number_labels
from toolkit.errors import DataError, UsageError
from toolkit.imaging.pixel_values import WITH_ALPHA, Depth, refuse_unit_scale, to_pixels
from toolkit.progress import OnNote

NAME = "arrays"
PARTS = ("train", "test")
EXPECTED = "(images, labels), or ((images, labels), (images, labels)) to learn from and to judge by"


def gather_arrays(given: Any, *, on_note: OnNote = lambda _: None) -> GatheredPictures:
    """Return pictures that a program holds, in copies: what is made of them is put into another order.

    Images are as `load_npz` takes them, labels whole numbers or words, which are then the classes' names.

    Args:
        given: `(images, labels)`, or two such pairs to learn from and to judge by; whatever NumPy makes arrays of.
        on_note: called with a sentence about each thing that was changed.

    Raises:
        UsageError: it is something else.
        DataError: no images or labels, or of another count; the arrays are named.
    """
    pairs = [given] if _is_pair(given) else list(given) if isinstance(given, tuple | list) else []
    if not 1 <= len(pairs) <= len(PARTS) or not all(_is_pair(pair) for pair in pairs):
        raise UsageError(f"the data are {_describe(given)}; expected {EXPECTED}")
    arrays = {part: _as_arrays(pair, part=part) for part, pair in zip(PARTS, pairs, strict=False)}
    given_images = {part: pair[0] for part, pair in arrays.items()}
    images, bits = read_images(dict(given_images), of=" images", name=NAME, on_note=on_note)
    named = _name_classes({part: pair[1] for part, pair in arrays.items()}, on_note=on_note)
    for part, labels in named.labels.items():
        Split(images=images[part], labels=labels)  # which names what has no partner
    # What is put in order later is moved in place, and some of these are the caller's.
    own = {
        part: array.copy() if np.may_share_memory(array, given_images[part]) else array
        for part, array in images.items()
    }
    return join_parts(own, named, name=NAME, bits=bits)


def read_images(
    arrays: dict[str, npt.NDArray[Any]], *, of: str, name: str, on_note: OnNote
) -> tuple[dict[str, npt.NDArray[np.uint8]], int]:
    """Return the images of every part, and how many bits their numbers have: all parts have one depth.

    Args:
        arrays: by part; `[N, H, W]`, `[N, H, W, c]` or `[N, c, H, W]`. They are taken out as they are read.
        of: what stands behind a part's name in messages.
        name: what all of them are called.
        on_note: called with a sentence about their depth, where it is not a byte's.

    Raises:
        DataError: no images, or numbers that are no pixels.
    """
    depth, values = Depth(), {}
    for part in list(arrays):
        array, title = arrays.pop(part), f"{part}{of}"
        check_type(array.dtype, name=title)
        values[part] = find_layout(array.shape, name=title, is_set=True).view(array)
        depth.see(values[part])
    bits = depth.bits()
    if bits > BYTE_BITS:
        said = depth.describe(bits)
        on_note(f"warning: {name}: image {said}, all alike" if said else f"{name}: {bits}-bit images")
    return {part: _to_images(values.pop(part), bits=bits, name=f"{part}{of}") for part in list(values)}, bits


def read_labels(array: npt.NDArray[Any], *, name: str) -> npt.NDArray[np.int64]:
    """Return labels that are whole numbers, `[N]` or `[N, 1]`, as int64 `[N]`.

    Raises:
        DataError: they are not.
    """
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.ndim != 1 or labels.dtype.kind not in "biu":
        seen = f"{array.dtype} {list(array.shape)}"
        step = "; save numpy.unique's inverse, and its names as `classes`" if labels.dtype.kind == "U" else ""
        raise DataError(f"{name} is {seen}; expected integers [N] or [N, 1], one class an image{step}")
    if labels.size and int(labels.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{name} has a label of {labels.max()}; expected 0 to {MAX_CLASSES - 1}")
    return labels.astype(np.int64)


def _to_images(values: npt.NDArray[Any], *, bits: int, name: str) -> npt.NDArray[np.uint8]:
    channels = values.shape[3:]
    if values.dtype == np.uint8 and channels not in WITH_ALPHA:
        return np.ascontiguousarray(values)
    refuse_unit_scale(values, name=f"{name}: its")
    images = np.empty((*values.shape[:3], *((3,) if channels in {(3,), (4,)} else ())), np.uint8)
    for index, image in enumerate(values):
        try:
            images[index], _ = to_pixels(image, bits=bits)
        except DataError as error:
            raise DataError(f"{name}, image {index}: {error}") from error
    return images


def _name_classes(labels: dict[str, npt.NDArray[Any]], *, on_note: OnNote) -> ClassLabels:
    """Return labels as classes: numbers by their range, words by their names."""
    if any(part.dtype.kind == "U" for part in labels.values()):
        texts, places = np.unique(np.concatenate([part.ravel() for part in labels.values()]), return_inverse=True)
        ends = np.cumsum([part.size for part in labels.values()])[:-1]
        numbers = dict(zip(labels, np.split(places.astype(np.int64), ends), strict=True))
        return name_labels(numbers, [str(text) for text in texts], name=NAME, on_note=on_note)
    whole = {part: read_labels(array, name=f"{part} labels") for part, array in labels.items()}
    return number_labels(whole, name=NAME, on_note=on_note)


def _as_arrays(pair: Any, *, part: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        images, labels = np.asarray(pair[0]), np.asarray(pair[1])
    except Exception as error:  # of a library's tensor on a device, or of lists of unequal lengths
        reason = " ".join(str(error).split())
        raise UsageError(f"{part}: images or labels cannot be read as a NumPy array: {reason}") from error
    return images, labels


def _is_pair(value: Any) -> bool:
    """Tell whether it is images with their labels: two arrays whose axes are those of images and of labels."""
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and not isinstance(value[0], str | tuple)
        and not (isinstance(value[0], list) and len(value[0]) == 2 and hasattr(value[0][0], "shape"))
    )


def _describe(given: Any) -> str:
    if isinstance(given, tuple | list):
        return f"a {type(given).__name__} of {len(given)}: {', '.join(type(item).__name__ for item in given[:4])}"
    return f"a {type(given).__name__}"
