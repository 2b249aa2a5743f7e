"""NPZ, a ZIP of NPY members: only the arrays asked for are unpacked, none beyond the cap, none unpickled."""

from __future__ import annotations

__all__ = ["MAX_ARRAY_BYTES", "ZipArrays", "open_npz"]

import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from toolkit.data.formats.arrays import failures_named, read_npy_header
from toolkit.data.formats.unpacked import read_up_to
from toolkit.data.formats.zip_directory import find_directory
from toolkit.regular_file import open_regular

MAX_ARRAY_BYTES = 2 << 30
MEMBER_ENDING = ".npy"
# zipfile reads the whole directory at opening, whatever it claims: a million members would be a gigabyte of objects.
MAX_DIRECTORY_BYTES = 1 << 20


class ZipArrays:
    """The arrays of an open NPZ file.

    Attributes:
        names: the arrays' names, without `.npy`, in the file's order.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, *, max_bytes: int) -> None:
        self._archive = archive
        self._path = path
        self._max_bytes = max_bytes
        self.names = tuple(
            name.removesuffix(MEMBER_ENDING) for name in archive.namelist() if name.endswith(MEMBER_ENDING)
        )

    def read(self, name: str) -> npt.NDArray[Any]:
        """Read one array whole.

        Returns:
            Of the member's own dtype and shape.

        Raises:
            DataError: Python objects inside, a size past the cap (judged from the header, before anything is
                allocated), bytes missing or left over, a damaged member.
        """
        with _failures_named(f"{name} in {self._path}"), self._archive.open(name + MEMBER_ENDING) as member:
            return self._read_body(cast("BinaryIO", member))  # it only calls read

    def _read_body(self, member: BinaryIO) -> npt.NDArray[Any]:
        header = read_npy_header(member)
        expected = header.size_bytes
        if expected > self._max_bytes:
            raise ValueError(f"its shape {list(header.shape)} needs {expected} bytes; the cap is {self._max_bytes}")
        body = read_up_to(member, expected + 1)
        if len(body) != expected:
            more = "more" if len(body) > expected else f"{len(body)} bytes"
            raise ValueError(f"it has {more} where its header says {expected}")
        if not body:  # nothing can be viewed
            return np.empty(header.shape, header.dtype)
        return np.frombuffer(body, header.dtype).reshape(header.shape, order=header.order)


@contextmanager
def open_npz(path: Path, *, max_bytes: int = MAX_ARRAY_BYTES) -> Iterator[ZipArrays]:
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
            yield ZipArrays(archive, path, max_bytes=max_bytes)


def _failures_named(name: str) -> AbstractContextManager[None]:
    return failures_named(name, kind="NPZ", mend="write it with numpy.savez")


def _check_directory(stream: BinaryIO, path: Path) -> None:
    directory = find_directory(stream, name=str(path))
    if directory.size_bytes > MAX_DIRECTORY_BYTES:
        raise ValueError(f"its directory has {directory.size_bytes} bytes; the most is {MAX_DIRECTORY_BYTES}")
    # Where zipfile looks for the larger directory is its own affair; no data set within the caps needs one.
    if directory.is_zip64:
        raise ValueError("it is a ZIP64 archive, of more than 4 GiB or 65,535 members")
