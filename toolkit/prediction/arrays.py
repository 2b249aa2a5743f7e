"""Arrays of images: NPY files opened safely, every image converted to uint8 only where nothing is lost."""

from __future__ import annotations

__all__ = ["iterate_array", "open_npy"]

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from toolkit.errors import DataError
from toolkit.imaging.decode import MAX_PIXELS
from toolkit.imaging.prepare import prepare_image
from toolkit.prediction.names import printable_path
from toolkit.prediction.rows import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from toolkit.card import InputSpec

SHAPES = "[H, W], [N, H, W], [N, H, W, 1] or [N, H, W, 3]"
BRIGHTEST = 255


def open_npy(path: Path) -> npt.NDArray[Any]:
    """Map one NPY file into memory; pickled objects are never loaded.

    Returns:
        Read-only, of the file's own dtype and shape.

    Raises:
        DataError: not NPY, damaged, objects inside, bytes missing or left over.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a header from Python 2 is read all the same
            return _read_header(path).map_body(path)
    except Exception as error:  # the header is parsed as Python: what that raises is no short list
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{printable_path(path)} cannot be read as an NPY array: {reason}; write it with numpy.save"
        ) from error


def iterate_array(array: npt.NDArray[Any], spec: InputSpec, *, source: str) -> Iterator[Sample]:
    """Yield an array's images, ready for the model.

    bool becomes 0 and 255; integers and floats are taken where every value is a whole number from 0 to 255. An image
    for which that does not hold (NaN, 0.5, 256 ...) is a sample without an image.

    Args:
        array: `[H, W]`, `[N, H, W]`, `[N, H, W, 1]` or `[N, H, W, 3]`.
        spec: what the model takes.
        source: what the array is called.

    Raises:
        DataError: the array as a whole cannot be images: its shape, or a dtype that is not a real number.
    """
    images = _as_batch(array, name=source)
    for index, values in enumerate(images):
        try:
            pixels, note = _to_pixels(values)
            image, done = prepare_image(pixels, spec)
        except DataError as error:
            yield Sample(source=source, index=index, image=None, message=str(error))
        else:
            yield Sample(source=source, index=index, image=image, message="; ".join(filter(None, (note, done))))


class _Header(NamedTuple):
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype[Any]
    start: int

    @property
    def end(self) -> int:
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def map_body(self, path: Path) -> npt.NDArray[Any]:
        size = path.stat().st_size
        if self.end != size:
            raise ValueError(f"it has {size} bytes where its header says {self.end}")
        if 0 in self.shape:  # nothing can be mapped
            return np.empty(self.shape, self.dtype)
        return np.memmap(path, dtype=self.dtype, mode="r", offset=self.start, shape=self.shape, order=self.order)


def _read_header(path: Path) -> _Header:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = reader(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {list(shape)}")
    return _Header(shape, "F" if is_fortran else "C", dtype, start)


def _as_batch(array: npt.NDArray[Any], *, name: str) -> npt.NDArray[Any]:
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


def _to_pixels(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], str]:
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


def _check_whole(values: npt.NDArray[Any]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, column, *_ = (int(place) for place in np.argwhere(~finite)[0])
        raise DataError(
            f"the image has {values[row, column]} at row {row}, column {column}; expected whole numbers from 0 to 255"
        )
    # All-zero is black in either scale; anything else up to 1 is taken for the 0-1 scale, never for near-black.
    if 0 < values.max() <= 1 and values.min() >= 0:
        raise DataError("the image's values lie between 0 and 1; multiply them by 255 and round to whole numbers")
    if not np.array_equal(values, np.rint(values)):
        first = values[values != np.rint(values)].flat[0]
        raise DataError(f"the image has the value {first}; expected whole numbers from 0 to 255, raw pixels")
