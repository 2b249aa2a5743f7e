"""Plain NPY and IDX files mapped into memory: opened in no time, and let go of page by page."""

from __future__ import annotations

__all__ = ["MappedArray", "map_array"]

import math
import mmap
import os
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from toolkit.data.array_layout import ArrayLayout, check_type, find_layout
from toolkit.errors import DataError
from toolkit.prediction.array_stream import read_array_header

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.card import InputSpec
    from toolkit.data.arrays import NpyHeader

IMAGE_RANKS = (2, 3, 4)


class MappedArray(NamedTuple):
    """Images of a file, of which only those that are looked at are in memory.

    Attributes:
        images: `[N, H, W]` or `[N, H, W, c]`, read-only, of the file's own dtype.
        mapping: the whole file; None where there are no images, or where they do not lie one after another.
        start: offset of the first image in the file.
        layout: where the array has its pictures.
    """

    images: npt.NDArray[Any]
    mapping: mmap.mmap | None
    start: int
    layout: ArrayLayout

    @property
    def image_bytes(self) -> int:
        """Size of one image."""
        return math.prod(self.images.shape[1:]) * self.images.itemsize

    def forget(self, first: int, count: int) -> None:
        """Let go of the memory of some images; whoever looks at one again has it read again."""
        if self.mapping is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        end = min(self.start + (first + count) * self.image_bytes, len(self.mapping))
        begin = (self.start + first * self.image_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        self.mapping.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def map_array(stream: BinaryIO, *, is_npy: bool, name: str, spec: InputSpec | None = None) -> MappedArray:
    """Map an NPY file, or an IDX file of uint8 images; pickled objects are never loaded.

    Args:
        stream: the file, at its start; may be closed afterwards.
        is_npy: which of the two it is.
        name: what it is called in messages.
        spec: what the model takes.

    Raises:
        DataError: another kind of file, damaged, objects inside, bytes missing or left over, no images.
    """
    header = read_array_header(stream, is_npy=is_npy, ranks=IMAGE_RANKS, name=name)
    start = stream.tell()
    found = stream.seek(0, os.SEEK_END) - start
    if found != header.size_bytes:
        word = "is short" if found < header.size_bytes else "has trailing bytes"
        seen = f"{found} bytes of elements, expected {header.size_bytes} for {list(header.shape)}"
        raise DataError(f"{name} {word}: {seen}")
    return _map(stream, header, start=start, name=name, spec=spec)


def _map(stream: BinaryIO, header: NpyHeader, *, start: int, name: str, spec: InputSpec | None) -> MappedArray:
    check_type(header.dtype, name=name)
    layout = find_layout(header.shape, name=name, spec=spec)
    if not header.size_bytes:  # nothing can be mapped
        return MappedArray(layout.view(np.empty(header.shape, header.dtype)), None, start, layout)
    mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    count = math.prod(header.shape)
    array = np.frombuffer(mapping, header.dtype, count, start).reshape(header.shape, order=header.order)
    return MappedArray(layout.view(array), mapping if header.order == "C" else None, start, layout)
