"""Arrays of images to predict: NPY, NPZ and IDX files opened safely and cut into blocks."""

from __future__ import annotations

__all__ = ["iterate_idx", "iterate_npy", "iterate_npz", "open_npy"]

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.data.arrays import as_batch, read_npy_header
from toolkit.data.idx import read_idx
from toolkit.data.zip_arrays import open_npz
from toolkit.errors import DataError
from toolkit.prediction.items import ArrayItem, failed_item
from toolkit.prediction.names import printable_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from toolkit.prediction.items import Item, OnNote

BLOCK_ROWS = 4096
BLOCK_BYTES = 64 << 20
# In an NPZ, integers of fewer axes than an image are taken for labels and left out.
IMAGE_RANKS = (2, 3, 4)


def iterate_npy(path: Path) -> Iterator[Item]:
    """Yield an NPY file's images in blocks; the file is mapped, not read.

    Raises:
        DataError: not NPY, damaged, objects inside, or no images.
    """
    yield from _blocks(open_npy(path), source=printable_path(path))


def iterate_idx(path: Path) -> Iterator[Item]:
    """Yield an IDX file's images in blocks, gzip or not.

    Raises:
        DataError: damaged, or no images.
    """
    source = printable_path(path)
    yield from _blocks(read_idx(path, ranks=(3, 4), name=source), source=source)


def iterate_npz(path: Path, *, on_note: OnNote) -> Iterator[Item]:
    """Yield the images of every array of an NPZ file, one array after the other, as `file.npz!key`.

    Arrays that are no images by their number of axes (labels, say) are left out with a note; others that cannot be
    read are one row without an image.

    Raises:
        DataError: not NPZ.
    """
    left_out = []
    found = False
    with open_npz(path) as arrays:
        for name in arrays.names:
            source = f"{printable_path(path)}!{printable_path(name)}"
            try:
                array = arrays.read(name)
                if array.ndim not in IMAGE_RANKS or array.dtype.kind not in "biuf":
                    left_out.append(f"{name} ({array.dtype} {list(array.shape)})")
                    continue
                found = True
                yield from _blocks(array, source=source)
            except DataError as error:
                found = True
                yield failed_item(source, error)
    if not found:
        raise DataError(f"{path} holds no array of images; it has {', '.join(left_out) or 'no arrays'}")
    if left_out:
        on_note(f"{printable_path(path)}: left out as no images: {', '.join(left_out)}")


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


def _blocks(array: npt.NDArray[Any], *, source: str) -> Iterator[ArrayItem]:
    images = as_batch(array, name=source)
    if not len(images):
        return
    each = max(1, math.prod(images.shape[1:]) * images.dtype.itemsize)
    rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // each))
    for start in range(0, len(images), rows):
        yield ArrayItem(source, start, images[start : start + rows])


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
