"""NPY and IDX files into blocks of pixels: mapped where they lie plain, streamed where they are packed.

What is mapped is opened in no time, and let go of page by page.
"""

from __future__ import annotations

__all__ = [
    "MAX_BLOCK_BYTES",
    "MAX_BLOCK_IMAGES",
    "ArrayStream",
    "block_length",
    "iterate_array_file",
    "iterate_stream",
    "open_array_file",
    "read_through",
    "tell_flattened",
]

import math
import mmap
import os
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.containers.kinds import Kind
from toolkit.containers.unpacked import UnpackBudget, open_unpacked, read_up_to
from toolkit.counts import count_of
from toolkit.data.array_layout import ArrayLayout, check_type, expected_bits, find_layout
from toolkit.data.formats.arrays import NpyHeader, read_npy_header
from toolkit.data.formats.idx import read_idx_shape
from toolkit.errors import DataError, failures_named
from toolkit.imaging.pixel_values import Depth
from toolkit.prediction.sources.items import ArrayItem
from toolkit.progress import OnNote
from toolkit.regular_file import open_regular, printable_name

IMAGE_RANKS = (2, 3, 4)
MAX_BLOCK_IMAGES = 4096
MAX_BLOCK_BYTES = 64 << 20
NPY_MAGIC = b"\x93NUMPY"


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
        # The kernel takes whole pages only; a page that another image shares is read from the file again.
        end = min(self.start + (first + count) * self.image_bytes, len(self.mapping))
        begin = (self.start + first * self.image_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        self.mapping.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def open_array_file(path: str, kind: Kind, *, spec: InputSpec | None = None) -> MappedArray:
    """Map a plain NPY file, or an IDX file of uint8 images; nothing is read and pickled objects are never loaded.

    Args:
        path: a regular file.
        kind: `NPY` or `IDX`.
        spec: what the model takes.

    Raises:
        DataError: another kind of file, damaged, objects inside, bytes missing or left over, no images.
    """
    name = printable_name(path)
    with open_regular(path) as stream:
        header = _read_header(stream, is_npy=kind == Kind.NPY, ranks=IMAGE_RANKS, name=name)
        start = stream.tell()
        found = stream.seek(0, os.SEEK_END) - start
        if found != header.size_bytes:
            word = "is short" if found < header.size_bytes else "has trailing bytes"
            seen = f"{count_of(found, 'byte')} of elements, expected {header.size_bytes} for {list(header.shape)}"
            raise DataError(f"{name} {word}: {seen}")
        return _map(stream, header, start=start, name=name, spec=spec)


def iterate_array_file(
    path: str, kind: Kind, *, on_note: OnNote | None = None, spec: InputSpec | None = None
) -> Iterator[ArrayItem]:
    """Yield the blocks of an array's file.

    A packed file is unpacked twice: first to its end, where its checksum stands, so that a damaged one gives no images.

    Args:
        path: a regular file.
        kind: `NPY`, `IDX` or `PACKED_ARRAY`.
        on_note: called with one sentence where rows are taken for flattened pictures.
        spec: what the model takes.

    Raises:
        DataError: the file cannot be read as what it is, or holds no images.
    """
    name = printable_name(path)
    if kind in {Kind.NPY, Kind.IDX}:
        mapped = open_array_file(path, kind, spec=spec)
        tell_flattened(mapped.layout, name, on_note=on_note)
        yield from _cut(mapped, name, spec=spec)
        return
    with open_regular(path) as stream:
        array = _open_packed(stream, name, spec=spec)
        tell_flattened(array.layout, name, on_note=on_note)
        bits = read_through(array)
        yield from iterate_stream(_open_packed(stream, name, spec=spec), name, bits=bits)


def read_through(array: ArrayStream) -> int:
    """Read a streamed array to its end, where its checksum stands, and return how many bits its numbers have.

    Raises:
        DataError: as `ArrayStream.read_blocks`.
    """
    depth = Depth()
    for block in array.read_blocks():
        depth.see(block)
    return depth.bits(array.expected_bits)


def iterate_stream(array: ArrayStream, source: str, *, bits: int | None = None) -> Iterator[ArrayItem]:
    """Yield the blocks of a streamed array.

    Args:
        array: at its start.
        source: what its rows are called.
        bits: as `read_through` returns it; None where it comes once only: then the first block tells, and pictures with
            larger numbers are refused.

    Raises:
        DataError: as `ArrayStream.read_blocks`.
    """
    start = 0
    for block in array.read_blocks():
        if bits is None:
            depth = Depth()
            depth.see(block)
            bits = depth.bits(array.expected_bits)
        yield ArrayItem(source, start, block, bits)
        start += len(block)


def tell_flattened(layout: ArrayLayout, name: str, *, on_note: OnNote | None) -> None:
    """Say that an array's rows are taken for pictures, as the model's size made us read it."""
    if layout.is_flattened and on_note is not None:
        height, width = layout.shape
        rows, values = layout.num_pictures, height * width
        taken = "is taken for a picture" if rows == 1 else "are taken for pictures"
        on_note(f"{name}: {count_of(rows, 'row')} of {values} values {taken} of {height}x{width}")


def block_length(image_bytes: int) -> int:
    """Return how many images of this size make a block: at most 4,096 and 64 MiB, and at least one."""
    return max(1, min(MAX_BLOCK_IMAGES, MAX_BLOCK_BYTES // max(1, image_bytes)))


class ArrayStream:
    """The array of an NPY or IDX file that comes once; the first byte says which of the two.

    Args:
        stream: at its start; only as much as needed is read.
        name: what the array is called in messages.
        spec: what the model takes.

    Attributes:
        shape: of the whole array.
        dtype: of its elements.

    Raises:
        DataError: a damaged header, Python objects.
    """

    def __init__(self, stream: BufferedReader, *, name: str, spec: InputSpec | None = None) -> None:
        self._stream, self._name, self._spec = stream, name, spec
        is_npy = stream.peek(1)[:1] == NPY_MAGIC[:1]
        header = _read_header(stream, is_npy=is_npy, ranks=(1, 2, 3, 4), name=name)
        self.shape, self.dtype, self._is_fortran = header.shape, header.dtype, header.order == "F"

    @property
    def is_images(self) -> bool:
        """Whether it has an image's dimensions; labels, `[N]` or `[N, 1]` of integers, have not."""
        is_column = len(self.shape) == 2 and self.shape[1] == 1 and self.dtype.kind in "biu"
        return len(self.shape) >= 2 and not is_column

    @property
    def expected_bits(self) -> int | None:
        """The depth of the pictures that the model was trained on, where the array may have it."""
        return expected_bits(self.dtype, self._spec)

    @property
    def layout(self) -> ArrayLayout:
        """Where the pictures are.

        Raises:
            DataError: as `read_blocks`, as far as the header tells.
        """
        check_type(self.dtype, name=self._name)
        return find_layout(self.shape, name=self._name, spec=self._spec)

    def read_blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield `[n, H, W]` or `[n, H, W, c]` of the array's own dtype, read-only or not, each a block.

        Raises:
            DataError: it cannot be images, or its bytes are not exactly as many as its header says.
        """
        layout = self.layout
        left, image_bytes = layout.num_pictures, math.prod(layout.stored) * self.dtype.itemsize
        if self._is_fortran:
            yield from self._read_fortran(layout, left * image_bytes)
            left = 0
        while left:
            count = min(left, block_length(image_bytes))
            body = self._take(count * image_bytes)
            yield layout.view(np.frombuffer(body, self.dtype))
            left -= count
        if self._stream.read(1):
            raise DataError(f"{self._name} has trailing bytes after the array that its header describes")

    def _read_fortran(self, layout: ArrayLayout, size_bytes: int) -> Iterator[npt.NDArray[Any]]:
        """Yield an array whose images do not lie one after another; it has to be held whole."""
        if size_bytes > MAX_BLOCK_BYTES:
            limit = f"the most of one that is packed is {MAX_BLOCK_BYTES}"
            raise DataError(f"{self._name} has {size_bytes} bytes in Fortran order; {limit}: write it in C order")
        whole = np.frombuffer(self._take(size_bytes), self.dtype).reshape(self.shape, order="F")
        images = layout.view(whole)
        for start in range(0, len(images), MAX_BLOCK_IMAGES):
            yield images[start : start + MAX_BLOCK_IMAGES]

    def _take(self, count: int) -> bytearray:
        body = read_up_to(self._stream, count)
        if len(body) < count:
            raise DataError(
                f"{self._name} is short: its bytes end before the {list(self.shape)} of its header are full"
            )
        return body


def _map(stream: BinaryIO, header: NpyHeader, *, start: int, name: str, spec: InputSpec | None) -> MappedArray:
    check_type(header.dtype, name=name)
    layout = find_layout(header.shape, name=name, spec=spec)
    if not header.size_bytes:  # nothing can be mapped
        return MappedArray(layout.view(np.empty(header.shape, header.dtype)), None, start, layout)
    mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    count = math.prod(header.shape)
    array = np.frombuffer(mapping, header.dtype, count, start).reshape(header.shape, order=header.order)
    return MappedArray(layout.view(array), mapping if header.order == "C" else None, start, layout)


def _open_packed(stream: BinaryIO, name: str, *, spec: InputSpec | None) -> ArrayStream:
    budget = UnpackBudget.of_file(stream, name=name)
    array = ArrayStream(open_unpacked(stream, name=name, budget=budget), name=name, spec=spec)
    if not array.is_images:
        raise DataError(f"{name} has rank {len(array.shape)}; expected 2 to 4")
    return array


def _cut(array: MappedArray, source: str, *, spec: InputSpec | None) -> Iterator[ArrayItem]:
    length = block_length(array.image_bytes)
    depth = Depth()
    # Bytes have 8 bits. Wider numbers are looked at to the end first: one array has one depth.
    if array.images.itemsize > 1:
        for start in range(0, len(array.images), length):
            depth.see(array.images[start : start + length])
            array.forget(start, length)
    bits = depth.bits(expected_bits(array.images.dtype, spec))
    for start in range(0, len(array.images), length):
        yield ArrayItem(source, start, array.images[start : start + length], bits)
        array.forget(start, length)


def _read_header(stream: BinaryIO, *, is_npy: bool, ranks: tuple[int, ...], name: str) -> NpyHeader:
    """Read an NPY file's header, or that of an IDX file of uint8, and leave the stream at the first element."""
    if not is_npy:
        return NpyHeader(read_idx_shape(stream, ranks=ranks, name=name), "C", np.dtype(np.uint8))
    with failures_named(name, kind="an NPY array", mend="write it with numpy.save"):
        return read_npy_header(stream)
