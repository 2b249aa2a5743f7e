"""An array read from a stream of bytes in blocks of images: nothing of it is held but the block."""

from __future__ import annotations

__all__ = ["MAX_BLOCK_BYTES", "MAX_BLOCK_IMAGES", "ArrayStream", "block_length", "read_array_header"]

import math
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.data.array_layout import ArrayLayout, check_type, expected_bits, find_layout
from toolkit.data.formats.arrays import NpyHeader, failures_named, read_npy_header
from toolkit.data.formats.idx import read_idx_shape
from toolkit.data.formats.unpacked import read_up_to
from toolkit.errors import DataError

MAX_BLOCK_IMAGES = 4096
MAX_BLOCK_BYTES = 64 << 20
NPY_MAGIC = b"\x93NUMPY"


def block_length(image_bytes: int) -> int:
    """Return how many images of this size make a block: at most 4,096 and 64 MiB, and at least one."""
    return max(1, min(MAX_BLOCK_IMAGES, MAX_BLOCK_BYTES // max(1, image_bytes)))


def read_array_header(stream: BinaryIO, *, is_npy: bool, ranks: tuple[int, ...], name: str) -> NpyHeader:
    """Read the header of an NPY file, or of an IDX file of uint8, and leave the stream at the first element.

    Args:
        stream: at its start.
        is_npy: which of the two it is.
        ranks: the numbers of dimensions that are accepted of IDX.
        name: what it is called in messages.

    Raises:
        DataError: it is not that, it is damaged, or it holds Python objects.
    """
    if not is_npy:
        return NpyHeader(read_idx_shape(stream, ranks=ranks, name=name), "C", np.dtype(np.uint8))
    with failures_named(name, kind="an NPY array", mend="write it with numpy.save"):
        return read_npy_header(stream)


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
        header = read_array_header(stream, is_npy=is_npy, ranks=(1, 2, 3, 4), name=name)
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
