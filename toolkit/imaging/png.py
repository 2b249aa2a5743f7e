"""Small plain PNG files, decoded without what Pillow does around every file.

Most of what Pillow spends on a picture of 28x28 pixels is not decoding: it opens the file twice (once for its
checksums), looks for metadata, and keeps warnings. Here the chunks are walked once, every checksum is compared, and the
pixel data go straight to Pillow's own decoder. Whatever is not plain, and whatever does not add up, is left to the long
way, which gives the verdict: here nothing is refused.

Source of the format: PNG Specification (Third Edition), W3C, chapters 5 and 11.
"""

from __future__ import annotations

__all__ = ["PNG_SIGNATURE", "decode_plain_png"]

import struct
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.imaging.pixel_values import flatten_image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PLAIN_BYTES = 1 << 20
MAX_PLAIN_PIXELS = 1 << 18
# Chunks that say nothing about the pixels' values as they are decoded, by their only valid lengths.
HARMLESS_BYTES = {b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"tIME": 7}
GREY_8, RGB_8 = (8, 0), (8, 2)
# Of these the decoded bytes are the pixels.
SHAPE_ENDS: dict[tuple[int, int], tuple[int, ...]] = {GREY_8: (), RGB_8: (3,)}
# (bit depth, colour type) -> Pillow's mode and the order of the bytes in the file; palettes take the long way.
PILLOW_MODES = {
    (1, 0): ("1", "1"),
    (2, 0): ("L", "L;2"),
    (4, 0): ("L", "L;4"),
    GREY_8: ("L", "L"),
    (16, 0): ("I;16", "I;16B"),
    RGB_8: ("RGB", "RGB"),
    (8, 4): ("LA", "LA"),
    (8, 6): ("RGBA", "RGBA"),
}
_CHUNK_START = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
_HEADER = struct.Struct(">IIBBBBB")
HEADER_CHUNK = b"\0\0\0\rIHDR"
HEADER_END = 8 + 8 + _HEADER.size + 4
PLAIN_METHODS = (0, 0, 0)


class _PlainPng(NamedTuple):
    width: int
    height: int
    layout: tuple[int, int]
    compressed: bytes


def decode_plain_png(data: bytes, *, bits: int | None = None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]] | None:
    """Decode a small PNG without metadata, whose checksums all hold; exactly as the long way does.

    Args:
        data: a whole file, beginning with the signature.
        bits: as for `flatten_image`.

    Returns:
        uint8 `[H, W]` or `[H, W, 3]`, writable, and what was done, in words; None where the long way has to judge.
    """
    try:
        plain = _read_plain(data)
        return None if plain is None else _decode_pixels(plain, bits)
    except Exception:  # noqa: BLE001 - whatever it is, the long way meets it too and names it
        return None


def _read_plain(data: bytes) -> _PlainPng | None:
    """Return what has to be decoded, every checksum compared; None where the file is not a small plain one."""
    if len(data) > MAX_PLAIN_BYTES or not data.startswith(HEADER_CHUNK, 8):
        return None
    width, height, depth, colour, *methods = _HEADER.unpack_from(data, 16)
    layout = (depth, colour)
    if tuple(methods) != PLAIN_METHODS or layout not in PILLOW_MODES or not 0 < width * height <= MAX_PLAIN_PIXELS:
        return None
    # A checksum covers a chunk's name and body, not its length.
    if crc32(data[12 : HEADER_END - 4]) != _CHECKSUM.unpack_from(data, HEADER_END - 4)[0]:
        return None
    pieces = _collect_pieces(data)
    if not pieces:
        return None
    return _PlainPng(width, height, layout, pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _collect_pieces(data: bytes) -> list[bytes]:
    """Return the bodies of the IDAT chunks; none where anything unknown, damaged or left over is found."""
    pieces: list[bytes] = []
    place, size, is_body_over = HEADER_END, len(data), False
    while True:
        length, kind = _CHUNK_START.unpack_from(data, place)
        end = place + 8 + length
        if end + 4 > size or crc32(data[place + 4 : end]) != _CHECKSUM.unpack_from(data, end)[0]:
            return []
        if kind == b"IDAT" and not is_body_over:
            pieces.append(data[place + 8 : end])
        elif kind == b"IEND":
            return pieces if length == 0 and end + 4 == size else []
        elif HARMLESS_BYTES.get(kind) == length:
            is_body_over = bool(pieces)
        else:
            return []
        place = end + 4


def _decode_pixels(plain: _PlainPng, bits: int | None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    mode, order = PILLOW_MODES[plain.layout]
    # Pillow's own decoder of PNG's deflated, filtered rows; the 0 says that they are not interlaced.
    image = Image.frombytes(mode, (plain.width, plain.height), plain.compressed, "zip", order, 0)
    ends = SHAPE_ENDS.get(plain.layout)
    if ends is None:
        return flatten_image(image, bits=bits)
    # A copy that can be written to, as the long way gives.
    return np.frombuffer(bytearray(image.tobytes()), np.uint8).reshape(plain.height, plain.width, *ends), ()
