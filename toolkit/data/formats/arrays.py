"""NumPy's files: the header of an NPY, and NPZ, a ZIP of NPY members; nothing is unpickled.

Of an NPZ only the arrays asked for are unpacked, none beyond the cap; large ones that are not packed are mapped.
"""

from __future__ import annotations

__all__ = ["MAX_ARRAY_BYTES", "NpyHeader", "NpzArrays", "open_npz", "read_npy_header"]

import math
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from toolkit.containers.mapped import can_be_mapped, map_array
from toolkit.containers.unpacked import read_up_to
from toolkit.containers.zip_directory import find_directory
from toolkit.counts import count_of
from toolkit.errors import failures_named
from toolkit.regular_file import open_regular

# An NPY header says a shape, an order and a type; of a record also its fields' names.
MAX_HEADER_BYTES = 1 << 20
MAX_ARRAY_BYTES = 2 << 30
MEMBER_ENDING = ".npy"
CHUNK_BYTES = 1 << 20
# What stands before a member: 26 bytes that the directory repeats, the lengths of its name and of an extra field.
LOCAL_HEADER = struct.Struct("<26sHH")
# zipfile reads the whole directory at opening, whatever it claims: a million members would be a gigabyte of objects.
MAX_DIRECTORY_BYTES = 1 << 20


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
def open_npz(path: Path, *, max_bytes: int = MAX_ARRAY_BYTES) -> Iterator[NpzArrays]:
    """Open an NPZ file.

    Args:
        path: a regular file.
        max_bytes: the most bytes of any one array.

    Raises:
        DataError: not a regular file, not a ZIP archive, or one with an absurd directory.
    """
    with open_regular(path) as stream:
        with _failures_named(str(path)):
            _check_directory(stream, path)
            archive = zipfile.ZipFile(stream)
        with archive:
            yield NpzArrays(archive, path, stream=stream, max_bytes=max_bytes)


class NpzArrays:
    """The arrays of an open NPZ file.

    Attributes:
        names: the arrays' names, without `.npy`, in the file's order.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, *, stream: BinaryIO, max_bytes: int) -> None:
        self._archive = archive
        self._path = path
        self._stream = stream
        self._max_bytes = max_bytes
        self.names = tuple(
            name.removesuffix(MEMBER_ENDING) for name in archive.namelist() if name.endswith(MEMBER_ENDING)
        )

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return one array.

        Returns:
            Of the member's own dtype and shape.

        Raises:
            DataError: Python objects inside, a size past the cap (judged from the header, before anything is
                allocated), bytes missing or left over, a damaged member.
        """
        with _failures_named(f"{name} in {self._path}"), self._archive.open(name + MEMBER_ENDING) as member:
            # It only calls read and tell.
            return self._read_body(cast("BinaryIO", member), self._archive.getinfo(name + MEMBER_ENDING))

    def _read_body(self, member: BinaryIO, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
        header = read_npy_header(member)
        expected = header.size_bytes
        if expected > self._max_bytes:
            raise ValueError(f"its shape {list(header.shape)} needs {expected} bytes; the cap is {self._max_bytes}")
        is_plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == member.tell() + expected
        if is_plain and can_be_mapped(self._stream, expected):
            start = _find_content(self._stream, info) + member.tell()
            while member.read(CHUNK_BYTES):  # to its end, where its checksum is compared
                pass
            return map_array(self._stream, start=start, shape=header.shape, dtype=header.dtype, order=header.order)
        body = read_up_to(member, expected + 1)
        if len(body) != expected:
            more = "more" if len(body) > expected else count_of(len(body), "byte")
            raise ValueError(f"it has {more} where its header says {expected}")
        if not body:  # nothing can be viewed
            return np.empty(header.shape, header.dtype)
        return np.frombuffer(body, header.dtype).reshape(header.shape, order=header.order)


def _find_content(stream: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return where a member's content begins: behind its own header, whose extra field the directory does not know."""
    stream.seek(info.header_offset)
    *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
    return info.header_offset + LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)


def _check_directory(stream: BinaryIO, path: Path) -> None:
    directory = find_directory(stream, name=str(path))
    if directory.size_bytes > MAX_DIRECTORY_BYTES:
        raise ValueError(f"its directory has {directory.size_bytes} bytes; the most is {MAX_DIRECTORY_BYTES}")
    # Where zipfile looks for the larger directory is its own affair; no data set within the caps needs one.
    if directory.is_zip64:
        raise ValueError("it is a ZIP64 archive, of more than 4 GiB or 65,535 members")


def _failures_named(name: str) -> AbstractContextManager[None]:
    return failures_named(name, kind="NPZ", mend="write it with numpy.savez")
