"""Plain NPY and IDX files mapped into memory: opened in no time, and let go of page by page."""

from __future__ import annotations

__all__ = ["MappedArray", "map_idx", "map_npy"]

import math
import mmap
import os
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from toolkit.data.array_layout import ArrayLayout, check_type, find_layout
from toolkit.data.arrays import NpyHeader, read_npy_header
from toolkit.data.gunzip import ChunkReader
from toolkit.data.idx import read_idx_shape
from toolkit.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.card import InputSpec

IDX_HEADER_BYTES = 4 + 4 * 4
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


def map_npy(stream: BinaryIO, *, name: str, spec: InputSpec | None = None) -> MappedArray:
    """Map an NPY file; pickled objects are never loaded.

    Args:
        stream: the file, at its start; may be closed afterwards.
        name: what it is called in messages.
        spec: what the model takes.

    Raises:
        DataError: not NPY, damaged, objects inside, bytes missing or left over, no images.
    """
    try:
        header = read_npy_header(stream)
        start = stream.tell()
        _check_size(stream, expected=start + header.size_bytes)
        return _map(stream, header, start=start, name=name, spec=spec)
    except DataError:
        raise
    except Exception as error:  # the header is parsed as Python: what that raises is no short list
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name} cannot be read as an NPY array: {reason}; write it with numpy.save") from error


def map_idx(stream: BinaryIO, *, name: str, spec: InputSpec | None = None) -> MappedArray:
    """Map an IDX file of uint8 images.

    Args:
        stream: the file, at its start; may be closed afterwards.
        name: what it is called in messages.
        spec: what the model takes.

    Raises:
        DataError: not IDX, another element type or rank, another length than its header says.
    """
    shape = read_idx_shape(ChunkReader([stream.read(IDX_HEADER_BYTES)]), ranks=IMAGE_RANKS, name=name)
    start = 4 + 4 * len(shape)
    expected = math.prod(shape)
    found = stream.seek(0, os.SEEK_END) - start
    if found != expected:
        word = "is short" if found < expected else "has trailing bytes"
        raise DataError(f"{name} {word}: {found} bytes of elements, expected {expected} for {list(shape)}")
    return _map(stream, NpyHeader(shape, "C", np.dtype(np.uint8)), start=start, name=name, spec=spec)


def _check_size(stream: BinaryIO, *, expected: int) -> None:
    size = stream.seek(0, os.SEEK_END)
    if size != expected:
        raise ValueError(f"it has {size} bytes where its header says {expected}")


def _map(stream: BinaryIO, header: NpyHeader, *, start: int, name: str, spec: InputSpec | None) -> MappedArray:
    check_type(header.dtype, name=name)
    layout = find_layout(header.shape, name=name, spec=spec)
    if not header.size_bytes:  # nothing can be mapped
        return MappedArray(layout.view(np.empty(header.shape, header.dtype)), None, start, layout)
    mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    count = math.prod(header.shape)
    array = np.frombuffer(mapping, header.dtype, count, start).reshape(header.shape, order=header.order)
    return MappedArray(layout.view(array), mapping if header.order == "C" else None, start, layout)
