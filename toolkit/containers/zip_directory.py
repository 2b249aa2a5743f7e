"""Where a ZIP archive's directory lies, and the sizes past 4 GiB that stand beside its entries.

Source of the format: APPNOTE.TXT 6.3.10, PKWARE, sections 4.3.14 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

__all__ = ["ZipDirectory", "find_directory", "unpack_zip64"]

import os
import struct
from typing import BinaryIO, NamedTuple

from toolkit.errors import DataError

END_MAGIC, END_BYTES, MAX_COMMENT_BYTES = b"PK\5\6", 22, 0xFFFF
LOCATOR_MAGIC, LOCATOR_BYTES = b"PK\6\7", 20
END64_MAGIC, END64_BYTES = b"PK\6\6", 56
IN_EXTRA = 0xFFFFFFFF
ZIP64_EXTRA = 1


class ZipDirectory(NamedTuple):
    """Where the directory is.

    Attributes:
        start: its offset in the file.
        size_bytes: its size.
        num_members: how many it has, modulo `modulus`.
        modulus: what that count wraps at.
        shift: what has to be added to the members' offsets, where something stands before the archive.
        is_zip64: whether these numbers stand in the larger record.
    """

    start: int
    size_bytes: int
    num_members: int
    modulus: int
    shift: int
    is_zip64: bool


def find_directory(stream: BinaryIO, *, name: str) -> ZipDirectory:
    """Find the directory from the end of the file.

    Raises:
        DataError: there is none, or it would lie outside the file.
    """
    # The end record is the last thing in the file but for a comment of up to 64 KiB, in which its magic may stand too:
    # the last one with room for a whole record behind it is taken.
    size = stream.seek(0, os.SEEK_END)
    tail_start = max(0, size - END_BYTES - MAX_COMMENT_BYTES - LOCATOR_BYTES - END64_BYTES)
    stream.seek(tail_start)
    tail = stream.read(size - tail_start)
    end = tail.rfind(END_MAGIC, 0, max(0, len(tail) - END_BYTES + len(END_MAGIC)))
    if end < 0:
        raise DataError(f"{name} is damaged: a ZIP archive without its directory; get the file again")
    # Members in all, the directory's size and its offset (4.3.16); in the larger record the same three (4.3.14).
    count, directory_bytes, offset = struct.unpack_from("<HLL", tail, end + 10)
    modulus, stop = 1 << 16, end
    locator = end - LOCATOR_BYTES
    if locator >= END64_BYTES and tail.startswith(LOCATOR_MAGIC, locator):
        record = tail.rfind(END64_MAGIC, 0, locator - END64_BYTES + len(END64_MAGIC))
        if record < 0:
            raise DataError(f"{name} is damaged: a ZIP64 archive without its end record; get the file again")
        count, directory_bytes, offset = struct.unpack_from("<QQQ", tail, record + 32)
        modulus, stop = 1 << 64, record
    # The directory ends where its end record begins. The stated offset counts from the archive's own first byte: where
    # something stands before it (a program that unpacks itself), all offsets are short by the difference.
    start = tail_start + stop - directory_bytes
    if start < offset:
        said = f"its directory of {directory_bytes} bytes cannot lie at {offset}"
        raise DataError(f"{name} is damaged: {said}; get the file again")
    return ZipDirectory(start, directory_bytes, count, modulus, start - offset, modulus > 1 << 16)


def unpack_zip64(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return plain size, packed size and offset, each taken from the extra field where the entry says so.

    A field that is not there leaves the value as it is: reading the member then fails by itself.
    """
    if IN_EXTRA not in values:
        return values
    # An extra field is a row of blocks, each with a kind and a length; ZIP64's holds only the values that did not fit.
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == ZIP64_EXTRA:
            body = extra[place + 4 : place + 4 + length]
            numbers = iter(struct.unpack_from(f"<{len(body) // 8}Q", body))
            plain, packed, offset = (next(numbers, value) if value == IN_EXTRA else value for value in values)
            return plain, packed, offset
        place += 4 + length
    return values
