"""PNG files of every colour type, depth, row filter and order of rows, written by the specification and not by Pillow."""

from __future__ import annotations

__all__ = ["ADAM7", "KINDS", "write_png"]

import itertools
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from imaging_samples import png_chunk, png_of_chunks

# colour type -> samples of a pixel, allowed depths
KINDS = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
# Adam7: first column, first row, step in columns, step in rows
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def write_png(
    samples: np.ndarray,
    *,
    depth: int,
    colour: int,
    filters: Sequence[int] = (0,),
    interlace: bool = False,
    extra: Sequence[bytes] = (),
    pieces: int = 1,
) -> bytes:
    """Write a picture.

    Args:
        samples: whole numbers `[H, W, S]`, each under 2^depth.
        depth: bits of a sample.
        colour: PNG's colour type.
        filters: row filters 0 to 4, used in turn.
        interlace: whether rows come in Adam7's order.
        extra: whole chunks between the header and the pixels.
        pieces: IDAT chunks.
    """
    height, width = samples.shape[:2]
    passes = ADAM7 if interlace else ((0, 0, 1, 1),)
    rows = b"".join(_filter(samples[y::dy, x::dx], depth, filters) for x, y, dx, dy in passes)
    packed = zlib.compress(rows)
    cuts = np.linspace(0, len(packed), pieces + 1).astype(int)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlace))
    bodies = [png_chunk(b"IDAT", packed[a:b]) for a, b in itertools.pairwise(cuts)]
    return png_of_chunks(png_chunk(b"IHDR", header), *extra, *bodies)


def _filter(samples: np.ndarray, depth: int, filters: Sequence[int]) -> bytes:
    if 0 in samples.shape:
        return b""
    distance = max(1, samples.shape[2] * depth // 8)
    above = bytes(len(_pack(samples[0], depth)))
    out = bytearray()
    for number, row in enumerate(samples):
        plain, kind = _pack(row, depth), filters[number % len(filters)]
        out.append(kind)
        for place, value in enumerate(plain):
            left = plain[place - distance] if place >= distance else 0
            corner = above[place - distance] if place >= distance else 0
            out.append((value - _predict(kind, left, above[place], corner)) % 256)
        above = plain
    return bytes(out)


def _predict(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[kind]


def _pack(row: np.ndarray, depth: int) -> bytes:
    flat = row.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    if depth == 8:
        return flat.astype(np.uint8).tobytes()
    bits = (flat[:, np.newaxis] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(-1).astype(np.uint8)).tobytes()
