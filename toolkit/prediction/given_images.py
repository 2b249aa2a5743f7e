"""Images that a program gives: arrays, paths, encoded bytes, PIL images, or a sequence of these."""

from __future__ import annotations

__all__ = ["OneImage", "make_items"]

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import DataError, UsageError
from toolkit.prediction.items import ArrayItem, ImageItem

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt
    from PIL import Image

    from toolkit.prediction.items import Item

    OneImage: TypeAlias = npt.NDArray[Any] | str | os.PathLike[str] | bytes | Image.Image


def make_items(images: Any) -> tuple[list[Item], dict[int, str]]:
    """Return items, and by row what was done to get them.

    Args:
        images: as `Classifier.predict` takes them.

    Raises:
        UsageError: of another type.
        DataError: an array of a shape or a dtype that no image has.
    """
    if isinstance(images, list | tuple):
        pairs = [_make_item(image, name=f"images[{number}]") for number, image in enumerate(images)]
        return [item for item, _ in pairs], {row: note for row, (_, note) in enumerate(pairs) if note}
    if _is_array(images):
        return [ArrayItem("images", 0, _as_batch(np.asarray(images), name="images"))], {}
    item, note = _make_item(images, name="the image")
    return [item], {0: note} if note else {}


def _make_item(image: Any, *, name: str) -> tuple[Item, str]:
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        return ImageItem(path, 0, path), ""
    if isinstance(image, bytes):
        return ImageItem(name, 0, image), ""
    # Nobody holds a PIL image who has not imported Pillow.
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        from toolkit.imaging.decode import decode_opened

        decoded = decode_opened(image, name=name)
        return ArrayItem(name, 0, decoded.pixels[np.newaxis]), "; ".join(decoded.notes)
    if _is_array(image):
        batch = _as_batch(np.asarray(image), name=name)
        if len(batch) != 1:
            raise DataError(f"{name} has shape {list(np.shape(image))}; in a sequence each array is one image")
        return ArrayItem(name, 0, batch), ""
    raise UsageError(f"{name} is of type {type(image).__name__}; expected an array, a path, bytes or a PIL image")


def _is_array(value: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")
    return hasattr(value, "__array__") and not (pillow is not None and isinstance(value, pillow.Image))


def _as_batch(array: npt.NDArray[Any], *, name: str) -> npt.NDArray[Any]:
    from toolkit.data.arrays import as_batch

    is_one_rgb = array.ndim == 3 and array.shape[-1] == 3
    return as_batch(array[np.newaxis] if is_one_rgb else array, name=name)
