"""What stands around the pixels in a picture's file: which way up it is, and what is damaged.

Metadata is not pixels: what is broken in it is told and left out. It is read here and not by Pillow, because Pillow
warns of it, and warnings belong to the whole process.

Sources: EXIF 2.32 and TIFF 6.0 (directories), CIPA DC-007 (Multi-Picture Format).
"""

from __future__ import annotations

__all__ = ["Metadata", "read_metadata"]

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

from toolkit.imaging.codecs.directory import read_directory
from toolkit.imaging.codecs.picture import ORIENTATION

ORIENTATION_TAG = 0x0112
PICTURES_TAG = 0xB002
PICTURE_BYTES = 16
XMP_ORIENTATION = re.compile(r'tiff:Orientation(?:="|>)([0-9])')


class Metadata(NamedTuple):
    """What is needed of it.

    Attributes:
        orientation: EXIF's number, 1 to 8: how the picture has to be turned; 1 is not at all.
        notes: what is damaged, in words.
    """

    orientation: int
    notes: tuple[str, ...]


def read_metadata(info: Mapping[str | tuple[int, int], Any], *, file_bytes: int | None = None) -> Metadata:
    """Read the metadata that Pillow has found, which nobody has looked into.

    Args:
        info: a picture's `info`: `toolkit.orientation`, `exif`, `Raw profile type exif`, `xmp`,
            `XML:com.adobe.xmp`, `mp`, `mpoffset`.
        file_bytes: size of the file, where it is known: whether the further pictures in it are there.
    """
    notes = []
    # The file's own word counts, then EXIF's; XMP is asked where both say nothing.
    orientation = int(info.get(ORIENTATION, 0))
    block = _exif_block(info)
    if block:
        exif = read_directory(BytesIO(block), (ORIENTATION_TAG,))
        orientation = orientation or exif.number(ORIENTATION_TAG)
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


def _judge_further_pictures(info: Mapping[str | tuple[int, int], Any], file_bytes: int | None) -> str:
    """Say what is wrong with the pictures behind the first one; "" where nothing is."""
    index = read_directory(BytesIO(info["mp"]), (PICTURES_TAG,))
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
