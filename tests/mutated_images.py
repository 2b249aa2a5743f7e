"""Image files with something wrong: seeded mutations of every format, mode and way of packing that a decoder meets."""

from __future__ import annotations

__all__ = ["mutated_images"]

import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from imaging_samples import draw_seven, encode, png_chunk
from PIL import Image
from png_variants import KINDS, write_png

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SIZES = (
    (65535, 65535),
    (6000, 6000),
    (65_000_000, 1),
    (1, 65_000_000),
    (8100, 8000),
    (2**31 - 1, 2),
    (0, 5),
    (300, 300),
)
Mutator = Callable[[random.Random, bytearray, list[bytes]], bytearray]


def mutated_images(count: int, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield file names, which say format and mutation, and contents; the same for the same seed."""
    rng = random.Random(seed)
    bases = _bases()
    others = [data for _, data in bases]
    for number in range(count):
        ending, data = bases[number % len(bases)]
        mutant = bytearray(data)
        chosen = [rng.choice(MUTATORS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        for mutate in chosen:
            mutant = mutate(rng, mutant, others)
        words = "-".join(mutate.__name__.strip("_") for mutate in chosen)
        yield f"{number:05}-{words}.{ending}", bytes(mutant)


def _bases() -> list[tuple[str, bytes]]:
    seven = Image.fromarray(draw_seven())
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 37, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    bases = [
        ("png", _plain_png(colour, depth, lace)) for colour, (_, ds) in KINDS.items() for depth in ds for lace in (0, 1)
    ]
    for mode in ("L", "RGB", "CMYK"):
        bases += [("jpg", encode(noise.convert(mode), "JPEG", progressive=lace)) for lace in (False, True)]
    bases += [("bmp", encode(noise.convert(mode), "BMP")) for mode in ("1", "L", "P", "RGB")]
    bases += [
        ("gif", encode(noise.convert(mode), "GIF", interlace=lace)) for mode in ("1", "L", "P") for lace in (0, 1)
    ]
    bases += [
        ("webp", encode(noise.convert(mode), "WEBP", lossless=exact)) for mode in ("RGB", "RGBA") for exact in (0, 1)
    ]
    bases += [(kind.lower().replace("jpeg", "jpg"), encode(seven, kind, exif=exif)) for kind in ("PNG", "JPEG", "WEBP")]
    bases += [("gif", encode(seven, "GIF", save_all=True, append_images=[noise.convert("L").resize((28, 28))]))]
    for packing in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        modes = ("L", "RGB", "CMYK") if packing == "jpeg" else ("1", "L", "P", "RGB", "RGBA", "I")
        bases += [("tif", encode(noise.convert(mode), "TIFF", compression=packing, strip_size=900)) for mode in modes]
    bases += [("pnm", encode(noise.convert(mode), "PPM")) for mode in ("1", "L", "RGB")]
    bases += [
        ("pgm", b"P2 # plain\n3 2\n9\n1 2 3 4 5 6\n"),
        ("pbm", b"P1 8 2 1111000010101010"),
        ("ppm", b"P3 1 1 999 1 2 3"),
    ]
    return [*bases, *[("png", encode(seven))] * 4]


def _plain_png(colour: int, depth: int, lace: int) -> bytes:
    samples = np.random.default_rng(depth).integers(0, 1 << depth, (23, 21, KINDS[colour][0]))
    palette = [png_chunk(b"PLTE", bytes(range(256)) * 3), png_chunk(b"tRNS", b"\0\x80")] if colour == 3 else []
    return write_png(samples, depth=depth, colour=colour, filters=(0, 1, 2, 3, 4), interlace=bool(lace), extra=palette)


def _flip(rng: random.Random, data: bytearray, _: list[bytes]) -> bytearray:
    for _ in range(rng.choice((1, 1, 3, 20)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _cut(rng: random.Random, data: bytearray, _: list[bytes]) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _remove(rng: random.Random, data: bytearray, _: list[bytes]) -> bytearray:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 4, 30, 300))]
    return data


def _repeat(rng: random.Random, data: bytearray, _: list[bytes]) -> bytearray:
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.choice((1, 12, 100))]
    return data[:start] + piece * rng.choice((1, 2, 50)) + data[start:]


def _splice(rng: random.Random, data: bytearray, others: list[bytes]) -> bytearray:
    other = rng.choice(others)
    start = rng.randrange(len(other))
    place = rng.randrange(len(data) + 1)
    return data[:place] + other[start : start + rng.choice((20, 200, 2000))] + data[place:]


def _number(rng: random.Random, data: bytearray, _: list[bytes]) -> bytearray:
    """Write a number that is on the edge of something, most often near the start, where the sizes stand."""
    layout = rng.choice(("<I", ">I", "<H", ">H"))
    value = rng.choice(INTERESTING) & (0xFFFF if layout[1] == "H" else 0xFFFFFFFF)
    end = min(len(data), rng.choice((32, 64, 10_000))) - 4
    if end > 0:
        struct.pack_into(layout, data, rng.randrange(end), value)
    return data


def _size(rng: random.Random, data: bytearray, _: list[bytes]) -> bytearray:
    """Claim another size, in a PNG under a right checksum."""
    width, height = rng.choice(SIZES)
    if data[12:16] == b"IHDR" and len(data) > 33:
        struct.pack_into(">II", data, 16, width, height)
        if rng.random() < 0.5:
            data[24:26] = bytes([rng.choice((1, 2, 4, 8, 16)), rng.choice((0, 2, 3, 4, 6))])
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif data[:2] == b"BM" and len(data) > 26:
        struct.pack_into("<ii", data, 18, width % 2**31, rng.choice((-1, 1)) * (height % 2**31))
    elif data[:3] == b"GIF" and len(data) > 10:
        struct.pack_into("<HH", data, 6, width % 65536, height % 65536)
    elif data[:2] == b"II":
        for tag, value in ((256, width), (257, height)):
            for kind, layout in ((3, "<H"), (4, "<I")):
                if (place := data.find(struct.pack("<HHI", tag, kind, 1)) + 8) > 8 and place + 4 <= len(data):
                    struct.pack_into(layout, data, place, value % (1 << 8 * struct.calcsize(layout)))
    elif (place := data.find(b"\xff\xc0")) > 0 and place + 9 < len(data):
        struct.pack_into(">HH", data, place + 5, height % 65536, width % 65536)
    return data


def _chunk(rng: random.Random, data: bytearray, others: list[bytes]) -> bytearray:
    """Damage the body of a PNG chunk and mend its checksum, or put in one of another kind."""
    chunks = list(_png_chunks(bytes(data)))
    if not chunks:
        return _flip(rng, data, others)
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    if rng.random() < 0.3:
        names = (b"tRNS", b"PLTE", b"gAMA", b"iCCP", b"eXIf", b"acTL", b"fdAT", b"IDAT", b"IEND", b"zTXt", b"abcd")
        chunks.insert(number, (rng.choice(names), rng.randbytes(rng.choice((0, 1, 2, 4, 8, 100)))))
    else:
        chunks[number] = (kind, bytes(rng.choice((_flip, _cut, _remove, _repeat))(rng, bytearray(body), others)))
    return data[:8] + b"".join(png_chunk(*chunk) for chunk in chunks)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8 if data.startswith(b"\x89PNG\r\n\x1a\n") else len(data)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


MUTATORS: tuple[Mutator, ...] = (_flip, _cut, _remove, _repeat, _splice, _number, _size, _chunk)
