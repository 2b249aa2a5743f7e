"""Arrays of images to predict: NPY files opened safely, image after image made ready."""

from __future__ import annotations

__all__ = ["iterate_array", "open_npy"]

from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.data.arrays import as_batch, read_npy_header, refuse_unit_scale, to_pixels
from toolkit.errors import DataError
from toolkit.imaging.prepare import prepare_image
from toolkit.prediction.names import printable_path
from toolkit.prediction.rows import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from toolkit.card import InputSpec


def open_npy(path: Path) -> npt.NDArray[Any]:
    """Map one NPY file into memory; pickled objects are never loaded.

    Returns:
        Read-only, of the file's own dtype and shape.

    Raises:
        DataError: not NPY, damaged, objects inside, bytes missing or left over.
    """
    try:
        return _map_array(path)
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
    images = as_batch(array, name=source)
    for index, values in enumerate(images):
        try:
            refuse_unit_scale(values, name="the image's")
            pixels, note = to_pixels(values)
            image, done = prepare_image(pixels, spec)
        except DataError as error:
            yield Sample(source=source, index=index, image=None, message=str(error))
        else:
            yield Sample(source=source, index=index, image=image, message="; ".join(filter(None, (note, done))))


def _map_array(path: Path) -> npt.NDArray[Any]:
    with path.open("rb") as stream:
        header = read_npy_header(stream)
        start = stream.tell()
    end, size = start + header.size_bytes, path.stat().st_size
    if end != size:
        raise ValueError(f"it has {size} bytes where its header says {end}")
    if 0 in header.shape:  # nothing can be mapped
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, dtype=header.dtype, mode="r", offset=start, shape=header.shape, order=header.order)
