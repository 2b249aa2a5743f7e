"""Images that a program gives: arrays, paths, encoded bytes, open files, PIL images, or a sequence of these."""

from __future__ import annotations

__all__ = ["OneImage", "make_items"]

import math
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from toolkit.containers.kinds import HEAD_BYTES, is_picture
from toolkit.errors import DataError, UsageError
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.prediction.sources.items import ArrayItem, ImageItem

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt
    from PIL import Image

    from toolkit.card import InputSpec
    from toolkit.prediction.sources.items import Item

    OneImage: TypeAlias = (
        npt.NDArray[Any] | str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image
    )

EXPECTED = "an array, a path, the bytes of a picture's file, a file opened for reading bytes, or a PIL image"


def make_items(images: Any, spec: InputSpec) -> tuple[list[Item], dict[int, str]]:
    """Return items, and by row what was done to get them.

    Args:
        images: as `Classifier.predict` takes them.
        spec: what the model takes.

    Raises:
        UsageError: of another type.
        DataError: an array of a shape or a dtype that no image has.
    """
    if isinstance(images, list | tuple):
        pairs = [_try_item(image, spec, name=f"images[{number}]") for number, image in enumerate(images)]
        return [item for item, _ in pairs], {row: note for row, (_, note) in enumerate(pairs) if note}
    if _is_array(images):
        return [_make_array_item(images, spec, name="images")], {}
    item, note = _try_item(images, spec, name="the image")
    return [item], {0: note} if note else {}


def _try_item(image: Any, spec: InputSpec, *, name: str) -> tuple[Item, str]:
    """Return an item, without content where it cannot be used: the others of a sequence can."""
    try:
        return _make_item(image, spec, name=name)
    except DataError as error:
        return ImageItem(name, 0, None, " ".join(str(error).split())), ""


def _make_item(image: Any, spec: InputSpec, *, name: str) -> tuple[Item, str]:
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        return ImageItem(path, 0, path), ""
    # Nobody holds a PIL image who has not imported Pillow.
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        from toolkit.imaging.decode import decode_opened

        decoded = decode_opened(image, name=name)
        return ArrayItem(name, 0, decoded.pixels[np.newaxis]), "; ".join(decoded.notes)
    if _is_array(image):
        item = _make_array_item(image, spec, name=name)
        if item.num_rows != 1:
            raise DataError(
                f"{name} has shape {list(np.shape(image))}, which is {item.num_rows} images; in a sequence each array "
                "is one image"
            )
        return item, ""
    return ImageItem(name, 0, _read_encoded(image, spec, name=name)), ""


def _is_array(value: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(value, pillow.Image):
        return False
    # A view of bytes is a file's content; one with axes or of wider numbers is an array's.
    is_numbers = isinstance(value, memoryview) and (value.ndim != 1 or value.format != "B")
    return hasattr(value, "__array__") or is_numbers


def _make_array_item(value: Any, spec: InputSpec, *, name: str) -> ArrayItem:
    from toolkit.data.array_layout import as_batch, expected_bits
    from toolkit.imaging.pixel_values import Depth

    try:
        array = np.asarray(value)
    except Exception as error:  # a tensor on a device, or one that takes part in training: each library has its own
        reason = " ".join(str(error).split())
        raise UsageError(f"{name}, a {type(value).__name__}, cannot be read as a NumPy array: {reason}") from error
    batch, depth = as_batch(array, name=name, spec=spec), Depth()
    depth.see(batch)
    return ArrayItem(name, 0, batch, depth.bits(expected_bits(batch.dtype, spec)))


def _read_encoded(image: Any, spec: InputSpec, *, name: str) -> bytes:
    """Return the bytes of a picture's file."""
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)
    elif hasattr(image, "read"):
        data = _read_file(image, name=name)
    else:
        raise UsageError(f"{name} is of type {type(image).__name__}; expected {EXPECTED}")
    if len(data) == math.prod(spec.shape) and not is_picture(data[:HEAD_BYTES]):
        shape = ", ".join(map(str, spec.shape))
        raise DataError(
            f"{name} has {len(data)} bytes, as many as pixels and no picture's file; raw pixels are given as an array: "
            f"numpy.frombuffer(data, numpy.uint8).reshape({shape})"
        )
    return data


def _read_file(stream: Any, *, name: str) -> bytes:
    try:
        # From its start, as Pillow does: a BytesIO that was just written to stands at its end.
        if getattr(stream, "seekable", bool)():
            stream.seek(0)
        data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"cannot read {name}, a {type(stream).__name__}: {error}") from error
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"{name} is a file that gives {type(data).__name__}; open it with mode 'rb'")
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{name} has more than {MAX_FILE_BYTES} bytes; the most for an image is {MAX_FILE_BYTES}")
    return bytes(data)
