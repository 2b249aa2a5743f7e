"""The header of NumPy's array files, read safely."""

from __future__ import annotations

__all__ = ["NpyHeader", "failures_named", "read_npy_header"]

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from toolkit.errors import DataError

# A shape, an order and a type; a record's fields by their names.
MAX_HEADER_BYTES = 1 << 20


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
            what that raises is no short list. Callers name the file, see `failures_named`.
    """
    version = np.lib.format.read_magic(stream)
    size = struct.Struct("<H" if version == (1, 0) else "<I")
    (header_bytes,) = size.unpack(stream.read(size.size))
    if header_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"its header claims {header_bytes} bytes")
    text = stream.read(header_bytes)
    # Python 2 wrote 28L for 28, which NumPy reads with a warning; warnings belong to the whole process.
    text = re.sub(rb"(?<=\d)L(?=\s*[,)])", b" ", text)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = reader(BytesIO(size.pack(len(text)) + text))
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {list(shape)}")
    return NpyHeader(shape, "F" if is_fortran else "C", dtype)


@contextmanager
def failures_named(name: str, *, kind: str, mend: str = "") -> Iterator[None]:
    """Turn whatever a library's parser raises into one DataError: none of them names a closed set of exceptions.

    Args:
        name: what is read, for messages.
        kind: what it is read as.
        mend: what to do about it.
    """
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name} cannot be read as {kind}: {reason}{mend and f'; {mend}'}") from error
