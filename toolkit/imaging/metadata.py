"""What stands around the pixels in a picture's file: which way up it is, and what is damaged.

Metadata is not pixels: what is broken in it is told and left out. It is read here and not by Pillow, because Pillow
warns of it, and warnings belong to the whole process.

Sources: EXIF 2.32 and TIFF 6.0 (directories), CIPA DC-007 (Multi-Picture Format).
"""

from __future__ import annotations

__all__ = ["Metadata", "read_metadata"]

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

ORIENTATION_TAG = 0x0112
PICTURES_TAG = 0xB002
PICTURE_BYTES = 16
# Bytes of a value by the number of its type, TIFF 6.0, section 2; of an unknown type nothing is checked.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
INLINE_BYTES = 4
ENTRY_BYTES = 12
ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
XMP_ORIENTATION = re.compile(r'tiff:Orientation(?:="|>)([0-9])')


class Metadata(NamedTuple):
    """What is needed of it.

    Attributes:
        orientation: EXIF's number, 1 to 8: how the picture has to be turned; 1 is not at all.
        notes: what is damaged, in words.
    """

    orientation: int
    notes: tuple[str, ...]


class _Directory(NamedTuple):
    values: dict[int, bytes]
    order: Literal["little", "big"]
    is_whole: bool


def read_metadata(info: Mapping[str | tuple[int, int], Any], *, file_bytes: int | None = None) -> Metadata:
    """Read the metadata that Pillow has found, which nobody has looked into.

    Args:
        info: a picture's `info`: `exif`, `Raw profile type exif`, `xmp`, `XML:com.adobe.xmp`, `mp`, `mpoffset`.
        file_bytes: size of the file, where it is known: whether the further pictures in it are there.
    """
    notes = []
    # EXIF's word counts; XMP is asked where EXIF says nothing.
    orientation = 0
    block = _exif_block(info)
    if block:
        exif = _read_directory(block)
        orientation = int.from_bytes(exif.values.get(ORIENTATION_TAG, b""), exif.order)
        if not exif.is_whole:
            notes.append("damaged EXIF block, pixels whole")
    if not orientation:
        orientation = _xmp_orientation(info)
    if "mp" in info and (problem := _judge_further_pictures(info, file_bytes)):
        notes.append(f"{problem}, first one taken")
    return Metadata(orientation if 1 <= orientation <= 8 else 1, tuple(notes))


def _exif_block(info: Mapping[str | tuple[int, int], Any]) -> bytes:
    block = info.get("exif")
    if block is None and (text := info.get("Raw profile type exif")):
        # ImageMagick's way to put it into a PNG: a name, a length, hexadecimal digits, each on lines of its own.
        try:
            block = bytes.fromhex("".join(str(text).split("\n")[3:]))
        except ValueError:
            return b"damaged"
    return re.sub(rb"^(?:Exif\0\0){1,2}", b"", block) if isinstance(block, bytes) else b""


def _xmp_orientation(info: Mapping[str | tuple[int, int], Any]) -> int:
    text = info.get("XML:com.adobe.xmp") or info.get("xmp") or ""
    found = XMP_ORIENTATION.search(text.decode("latin-1") if isinstance(text, bytes) else str(text))
    return int(found[1]) if found else 0


def _read_directory(block: bytes) -> _Directory:
    """Read the first directory of a TIFF structure; only values that are wholly there."""
    order = ORDERS.get(block[:4])
    if order is None:
        return _Directory({}, "big", is_whole=False)
    # A directory is a count of two bytes and so many entries: tag, type, number of values, and the value itself where
    # four bytes hold it, else the offset where it lies.
    start = int.from_bytes(block[4:8], order) + 2
    count = int.from_bytes(block[start - 2 : start], order)
    entries = block[start : start + ENTRY_BYTES * count]
    values, is_whole = {}, 2 < start <= len(block) and len(entries) == ENTRY_BYTES * count
    for place in range(0, len(entries) // ENTRY_BYTES * ENTRY_BYTES, ENTRY_BYTES):
        tag, kind = (int.from_bytes(entries[place + skip : place + skip + 2], order) for skip in (0, 2))
        size = TYPE_BYTES.get(kind, 0) * int.from_bytes(entries[place + 4 : place + 8], order)
        value = entries[place + 8 : place + 12]
        if size > INLINE_BYTES:
            offset = int.from_bytes(value, order)
            value = block[offset : offset + size]
        is_whole = is_whole and len(value) >= size
        if len(value) >= size:
            values[tag] = value[:size]
    return _Directory(values, order, is_whole)


def _judge_further_pictures(info: Mapping[str | tuple[int, int], Any], file_bytes: int | None) -> str:
    """Say what is wrong with the pictures behind the first one; "" where nothing is."""
    index = _read_directory(info["mp"])
    table = index.values.get(PICTURES_TAG, b"")
    if not index.is_whole or not table or len(table) % PICTURE_BYTES:
        return "damaged list of further pictures"
    for place in range(0, len(table), PICTURE_BYTES):
        size, offset = (int.from_bytes(table[place + skip : place + skip + 4], index.order) for skip in (4, 8))
        # Offsets count from the list itself; the first picture's is 0 and means the file's start.
        end = size + (info.get("mpoffset", 0) + offset if offset else 0)
        if file_bytes is not None and end > file_bytes:
            return "further picture cut off"
    return ""
