"""Arrays of images to predict: NPY files opened safely, image after image made ready."""

from __future__ import annotations

__all__ = ["iterate_array", "open_npy"]

from typing import TYPE_CHECKING, Any

from toolkit.data.arrays import as_batch, refuse_unit_scale, to_pixels
from toolkit.errors import DataError
from toolkit.imaging.prepare import prepare_image
from toolkit.prediction.mapped_array import map_npy
from toolkit.prediction.names import printable_path
from toolkit.prediction.regular_file import open_regular
from toolkit.prediction.rows import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from toolkit.card import InputSpec


def open_npy(path: Path) -> npt.NDArray[Any]:
    """Map one NPY file into memory; pickled objects are never loaded.

    Returns:
        Read-only `[N, H, W]` or `[N, H, W, 3]`, of the file's own dtype.

    Raises:
        DataError: not NPY, damaged, objects inside, bytes missing or left over.
    """
    with open_regular(str(path)) as stream:
        return map_npy(stream, name=printable_path(path)).images


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
