"""Arrays of images from NumPy files: headers read safely, values converted to uint8 only where nothing is lost."""

from __future__ import annotations

__all__ = ["NpyHeader", "as_batch", "read_npy_header", "refuse_unit_scale", "to_pixels"]

import math
import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from toolkit.errors import DataError
from toolkit.imaging.limits import MAX_PIXELS

if TYPE_CHECKING:
    import numpy.typing as npt

SHAPES = "[H, W], [N, H, W], [N, H, W, 1] or [N, H, W, 3]"
BRIGHTEST = 255


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


def as_batch(array: npt.NDArray[Any], *, name: str) -> npt.NDArray[Any]:
    """Return an array as `[N, H, W]` or `[N, H, W, 3]`, a view.

    Args:
        array: `[H, W]`, `[N, H, W]`, `[N, H, W, 1]` or `[N, H, W, 3]`.
        name: what the array is called.

    Raises:
        DataError: another shape, images of no pixel or of too many, or a dtype that is not a real number.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} holds {array.dtype}; expected uint8, or whole numbers from 0 to 255")
    images = array[np.newaxis] if array.ndim == 2 else array
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in {3, 4} or (images.ndim == 4 and images.shape[-1] != 3):
        raise DataError(f"{name} has shape {list(array.shape)}; expected {SHAPES}")
    height, width = images.shape[1:3]
    if len(images) and not 0 < height * width <= MAX_PIXELS:
        raise DataError(f"{name} has images of {width}x{height}; expected 1 to {MAX_PIXELS} pixels")
    return images


def to_pixels(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], str]:
    """Return one image's values as uint8 of the same shape, and what was done, in words.

    Args:
        values: bool (becomes 0 and 255), or whole numbers from 0 to 255 of any real dtype.

    Raises:
        DataError: a value is not finite, not whole, or outside 0 to 255.
    """
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
