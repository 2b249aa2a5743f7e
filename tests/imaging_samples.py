"""Pictures for tests: a digit-like drawing in every dress that a file can give it."""

from __future__ import annotations

__all__ = ["draw_seven", "encode", "oversized_png", "oversized_webp", "png_chunk", "png_of_chunks", "text_bomb_png"]

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def draw_seven(*, side: int = 28) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return light ink on black, uint8 [side, side]: a bar on top and a slanted stroke, nothing symmetric."""
    pixels = np.zeros((side, side), np.uint8)
    unit = side // 14
    pixels[3 * unit : 4 * unit, 4 * unit : 10 * unit] = 230
    for step in range(6 * unit):
        column = 9 * unit - step // 2
        pixels[4 * unit + step, column : column + unit] = 255
    return pixels


def encode(pixels: np.ndarray[Any, Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image file's bytes."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return one PNG chunk with its right checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_chunks(*chunks: bytes) -> bytes:
    """Return the PNG signature, the chunks and the end."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def oversized_png(width: int, height: int) -> bytes:
    """Return a tiny file whose header claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return png_of_chunks(png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(b"\0" * 100)))


def oversized_webp(width: int, height: int) -> bytes:
    """Return a tiny extended WebP whose canvas claims a size."""
    canvas = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def text_bomb_png(size_bytes: int) -> bytes:
    """Return a small picture with a compressed text chunk that unpacks to `size_bytes`."""
    whole = encode(draw_seven())
    split = 8 + 25  # signature and IHDR
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * size_bytes, 9))
    return whole[:split] + text + whole[split:]
