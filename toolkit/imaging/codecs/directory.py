"""The directories of a TIFF structure, which TIFF files, EXIF blocks and lists of further pictures are.

Read here and not by Pillow, because Pillow warns of what is damaged in them, and warnings belong to the whole process.
Only what is asked for is taken: thousands of entries may all name the same megabytes.

Source: TIFF 6.0, section 2.
"""

from __future__ import annotations

__all__ = ["Directory", "Tag", "read_directory"]

from collections.abc import Container
from enum import IntEnum
from io import SEEK_END
from typing import IO, Literal, NamedTuple

ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
# Bytes of a value by the number of its type; of an unknown type nothing is checked.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
INLINE_BYTES = 4
ENTRY_BYTES = 12
# A value that is longer is not taken: the longest that is asked for are a large picture's list of pieces.
MOST_VALUE_BYTES = 1 << 20


class Tag(IntEnum):
    """What is asked of a TIFF file's directory."""

    SUBFILE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    TURN = 274
    SAMPLES = 277
    STRIP_ROWS = 278
    STRIP_BYTES = 279
    PLANES = 284
    PREDICTOR = 317
    PALETTE = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    EXTRA = 338
    NUMBERS = 339
    TABLES = 347
    DNG = 50706


class Directory(NamedTuple):
    """What one directory says.

    Attributes:
        values: bytes by tag, of those that were asked for and are wholly there.
        sizes: bytes of one number, by tag.
        order: of the numbers' bytes.
        is_whole: whether every entry's value is there.
        following: where the next directory begins; 0 after the last.
    """

    values: dict[int, bytes]
    sizes: dict[int, int]
    order: Literal["little", "big"]
    is_whole: bool
    following: int = 0

    def number(self, tag: int, default: int = 0) -> int:
        """Return a tag's first whole number."""
        return next(iter(self.numbers(tag)), default)

    def numbers(self, tag: int) -> list[int]:
        """Return a tag's whole numbers; none where it is not there."""
        value, size = self.values.get(tag, b""), self.sizes.get(tag, 1)
        return [int.from_bytes(value[place : place + size], self.order) for place in range(0, len(value), size)]


def read_directory(stream: IO[bytes], wanted: Container[int], *, start: int | None = None) -> Directory:
    """Read a directory.

    Args:
        stream: the structure from its first byte; may move.
        wanted: tags.
        start: where it begins; None: the first one.
    """
    stream.seek(0)
    order = ORDERS.get(stream.read(4))
    if order is None:
        return Directory({}, {}, "big", is_whole=False)
    first = int.from_bytes(stream.read(4), order)
    start = first if start is None else start
    end = stream.seek(0, SEEK_END)
    stream.seek(start)
    # A directory is a count of two bytes and so many entries: tag, type, number of values, and the value itself where
    # four bytes hold it, else the offset where it lies.
    count = int.from_bytes(stream.read(2), order)
    entries, following = stream.read(ENTRY_BYTES * count), int.from_bytes(stream.read(4), order)
    values, sizes, is_whole = {}, {}, 0 < start < end and len(entries) == ENTRY_BYTES * count
    for place in range(0, len(entries) // ENTRY_BYTES * ENTRY_BYTES, ENTRY_BYTES):
        tag, kind = (int.from_bytes(entries[place + skip : place + skip + 2], order) for skip in (0, 2))
        size = TYPE_BYTES.get(kind, 0) * int.from_bytes(entries[place + 4 : place + 8], order)
        value = entries[place + 8 : place + 12]
        offset = int.from_bytes(value, order) if size > INLINE_BYTES else 0
        is_there = offset + size <= end
        is_whole = is_whole and is_there
        if tag in wanted and is_there and size <= MOST_VALUE_BYTES:
            if size > INLINE_BYTES:
                stream.seek(offset)
                value = stream.read(size)
            values[tag], sizes[tag] = value[:size], TYPE_BYTES.get(kind, 1)
    return Directory(values, sizes, order, is_whole, following)
