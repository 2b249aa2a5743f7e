"""Arrays of images from NumPy files: headers read safely, values converted to uint8 only where nothing is lost."""

from __future__ import annotations

__all__ = ["WITH_ALPHA", "NpyHeader", "read_npy_header", "refuse_unit_scale", "to_pixels"]

import math
import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from toolkit.errors import DataError
from toolkit.imaging.flatten import flatten_layers

if TYPE_CHECKING:
    import numpy.typing as npt

BRIGHTEST = 255
# Channels, as they end the shape of pictures: grey or RGB, and alpha.
WITH_ALPHA = {(2,), (4,)}


class NpyHeader(NamedTuple):
    """What an NPY file says about its body.

    Attributes:
        shape: the array's shape, no side negative.
        order: `C` or `F`: which index runs fastest in the body, the last or the first.
        dtype: the elements' type; never one that holds Python objects.
    """

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        """Bytes of the body."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(stream: BinaryIO) -> NpyHeader:
    """Read an NPY header and leave the stream at the body; nothing is unpickled or allocated.

    Raises:
        Exception: of any kind, if the header is damaged, negative or of Python objects: NumPy parses it as Python, and
            what that raises is no short list. Callers name the file and raise a DataError.
    """
    version = np.lib.format.read_magic(stream)
    size = struct.Struct("<H" if version == (1, 0) else "<I")
    text = stream.read(*size.unpack(stream.read(size.size)))
    # Python 2 wrote 28L for 28, which NumPy reads with a warning; warnings belong to the whole process.
    text = re.sub(rb"(?<=\d)L(?=\s*[,)])", b" ", text)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = reader(BytesIO(size.pack(len(text)) + text))
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {list(shape)}")
    return NpyHeader(shape, "F" if is_fortran else "C", dtype)


def to_pixels(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], str]:
    """Return one image's values as uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.

    Args:
        values: `[H, W]` or `[H, W, c]` (2 or 4 channels: the last is alpha); bool (becomes 0 and 255), or whole numbers
            from 0 to 255 of any real dtype.

    Raises:
        DataError: a value is not finite, not whole, or outside 0 to 255.
    """
    pixels, note = _to_bytes(values)
    if values.shape[2:] in WITH_ALPHA:
        pixels, notes = flatten_layers(pixels)
        note = "; ".join(filter(None, (note, *notes)))
    return pixels, note


def _to_bytes(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], str]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values), ""
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(BRIGHTEST), "bool turned into 0 and 255"
    if values.dtype.kind == "f":
        _check_whole(values)
    low, high = values.min(), values.max()
    if low < 0 or high > BRIGHTEST:
        raise DataError(f"the image has values from {low} to {high}; expected 0 to {BRIGHTEST}")
    return values.astype(np.uint8), ""


def refuse_unit_scale(values: npt.NDArray[Any], *, name: str) -> None:
    """Refuse floats on the scale from 0 to 1.

    All-zero is black in either scale; anything else up to 1 is taken for the 0-1 scale, never for near-black.

    Raises:
        DataError: they are on it.
    """
    if values.dtype.kind == "f" and values.size and 0 < values.max() <= 1 and values.min() >= 0:
        raise DataError(f"{name} values lie between 0 and 1; multiply them by 255 and round to whole numbers")


def _check_whole(values: npt.NDArray[Any]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, column, *_ = (int(place) for place in np.argwhere(~finite)[0])
        raise DataError(
            f"the image has {values[row, column]} at row {row}, column {column}; expected whole numbers from 0 to 255"
        )
    if not np.array_equal(values, np.rint(values)):
        first = values[values != np.rint(values)].flat[0]
        raise DataError(f"the image has the value {first}; expected whole numbers from 0 to 255, raw pixels")
