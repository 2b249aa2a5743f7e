"""What a TIFF file's directory says of its one page, judged before anything of it is unpacked.

Source: TIFF 6.0, by Adobe.

Shapes: H rows, W columns, c samples a pixel.
"""

from __future__ import annotations

__all__ = ["Compression", "Photometric", "TiffPlan", "read_plan"]

from dataclasses import dataclass
from enum import IntEnum
from io import SEEK_END
from typing import IO, Any

import numpy as np

from toolkit.counts import count_of
from toolkit.errors import DataError
from toolkit.imaging.codecs.directory import Directory, Tag, read_directory
from toolkit.imaging.settings import MAX_PIXELS

WANTED = frozenset(Tag)
# As the writers of scientific pictures number them; more are no page of a picture.
MOST_PIECES, MOST_PAGES_SEEN = 1 << 16, 16
# Of samples, as they are unpacked; pictures of 64 megapixels have it with four bytes a pixel.
MOST_BYTES = 4 * MAX_PIXELS
REDUCED, APART, LOWEST_FIRST, DIFFERENCES = 1, 2, 2, 2
KINDS = {1: "u", 2: "i", 3: "f"}
DEPTHS = {"u": (1, 2, 4, 8, 16, 32), "i": (8, 16, 32), "f": (16, 32, 64)}
MULTIPLIED, STRAIGHT = 1, 2
NAMES = {
    2: "CCITT",
    3: "CCITT fax 3",
    4: "CCITT fax 4",
    6: "old JPEG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
}
MEND = "convert it: magick mogrify -format png NAME.tif"


class Compression(IntEnum):
    """Those that are read."""

    RAW = 1
    LZW = 5
    JPEG = 7
    DEFLATE = 8
    OLD_DEFLATE = 32946
    PACKBITS = 32773


# Of the others nobody looks at a predictor.
PREDICTED = {Compression.LZW, Compression.DEFLATE, Compression.OLD_DEFLATE}


class Photometric(IntEnum):
    """What the samples mean, of those that are read."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    INDEXED = 3
    CMYK = 5
    YCBCR = 6


COLOURS = {1: (0, 1, 3), 3: (2, 6), 4: (5,)}
MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA", (4, False): "CMYK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPlan:
    """How the samples lie in the file, and what they mean.

    Attributes:
        width: W.
        height: H.
        samples: c, those that nobody looks at included.
        bits: of a sample.
        dtype: of a sample, in the file's order of bytes; uint8 for less than bytes, too.
        photometric: what they mean.
        colours: samples of colour.
        alpha: what the sample behind them is: 0 nothing, 1 alpha that is multiplied into them, 2 alpha.
        mode: Pillow's, of the picture.
        compression: of the pieces.
        differences: a sample is its difference to the one before.
        reversed: the lowest bit of a byte comes first.
        turn: EXIF's number of how the picture has to be turned; 0 where nothing is said.
        piece_height: rows of a strip or a tile.
        piece_width: columns.
        is_tiled: tiles are whole, a strip ends with the picture.
        is_planar: a pixel's samples lie apart, plane after plane.
        pieces: (offset, bytes) of each, plane after plane, row after row of them.
        palette: 3 x 2 ** bits numbers of 16 bits: reds, greens, blues; else empty.
        tables: what JPEG's pieces share.
    """

    width: int
    height: int
    samples: int
    bits: int
    dtype: np.dtype[Any]
    photometric: Photometric
    colours: int
    alpha: int
    mode: str
    compression: Compression
    differences: bool
    reversed: bool
    turn: int
    piece_height: int
    piece_width: int
    is_tiled: bool
    is_planar: bool
    pieces: tuple[tuple[int, int], ...]
    palette: tuple[int, ...]
    tables: bytes

    @property
    def together(self) -> int:
        """Samples of a pixel that lie together."""
        return 1 if self.is_planar else self.samples

    @property
    def row_bytes(self) -> int:
        """Of a piece's row, unpacked; every row begins with a byte of its own."""
        return (self.piece_width * self.together * self.bits + 7) // 8


def read_plan(stream: IO[bytes], *, name: str) -> TiffPlan:
    """Read and judge the directory of a file that begins as TIFF does.

    Args:
        stream: the file.
        name: what it is called in messages.

    Raises:
        DataError: several pages, a camera's raw file, damaged, or of a kind that is not read.
    """
    directory = read_directory(stream, WANTED)
    if not directory.values:
        raise DataError(f"{name} is damaged: its TIFF directory cannot be read; get the file again")
    _refuse_pages(stream, directory, name=name)
    samples = directory.number(Tag.SAMPLES, 1)
    bits, dtype = _read_type(directory, name=name)
    photometric, colours = _read_meaning(directory, samples=samples, name=name)
    mode, alpha = _choose_mode(directory, dtype, samples=samples, colours=colours, name=name)
    is_planar = directory.number(Tag.PLANES, 1) == APART and samples > 1
    width, height = directory.number(Tag.WIDTH), directory.number(Tag.HEIGHT)
    compression, differences = _read_compression(directory, dtype, name=name)
    if width * height <= MAX_PIXELS and width * height * samples * dtype.itemsize > MOST_BYTES:
        raise DataError(
            f"{name} has {height}x{width} pixels of {samples * dtype.itemsize} bytes each; the most are {MOST_BYTES:,} "
            f"bytes in all: save it with 8 bits a channel, or smaller"
        )
    return TiffPlan(
        width=width,
        height=height,
        samples=samples,
        bits=bits,
        dtype=dtype,
        photometric=photometric,
        colours=colours,
        alpha=alpha,
        mode="RGB" if photometric == Photometric.INDEXED else mode,
        compression=compression,
        differences=differences,
        reversed=directory.number(Tag.FILL_ORDER) == LOWEST_FIRST,
        turn=directory.number(Tag.TURN),
        is_planar=is_planar,
        palette=tuple(directory.numbers(Tag.PALETTE)),
        tables=directory.values.get(Tag.TABLES, b""),
        **_read_pieces(directory, stream, size=(width, height), planes=samples if is_planar else 1, name=name),
    )


def _refuse_pages(stream: IO[bytes], directory: Directory, *, name: str) -> None:
    if Tag.DNG in directory.values or directory.number(Tag.SUBFILE) & REDUCED:
        raise DataError(
            f"{name} is a camera's raw file; export it as JPEG or PNG with the camera's program or darktable"
        )
    for _ in range(MOST_PAGES_SEEN):
        if not directory.following:
            return
        directory = read_directory(stream, WANTED, start=directory.following)
        # Beside the page there may be smaller copies of it.
        if not directory.number(Tag.SUBFILE) & REDUCED:
            break
    raise DataError(f"{name} has several pages; save each as a file of its own: magick NAME.tif page-%d.png")


def _read_type(directory: Directory, *, name: str) -> tuple[int, np.dtype[Any]]:
    depths, numbers = set(directory.numbers(Tag.BITS) or [1]), set(directory.numbers(Tag.NUMBERS) or [1])
    bits, kind = max(depths), KINDS.get(max(numbers), "")
    if len(depths) > 1 or len(numbers) > 1 or bits not in DEPTHS.get(kind, ()):
        raise DataError(
            f"{name} has samples of {sorted(depths)} bits, of kind {sorted(numbers)}; expected 1, 2, 4, 8, 16 or 32 "
            f"bits, alike in every channel, of kind 1 to 3; {MEND}"
        )
    return bits, np.dtype(f"{kind}{max(1, bits // 8)}").newbyteorder("<" if directory.order == "little" else ">")


def _read_meaning(directory: Directory, *, samples: int, name: str) -> tuple[Photometric, int]:
    number, is_jpeg = directory.number(Tag.PHOTOMETRIC), directory.number(Tag.COMPRESSION, 1) == Compression.JPEG
    colours = next((count for count, meanings in COLOURS.items() if number in meanings), 0)
    if not colours or (number == Photometric.YCBCR and not is_jpeg):
        raise DataError(f"{name} holds colours of kind {number}; expected grey, RGB, a palette or CMYK; {MEND}")
    if not colours <= samples <= colours + 4:
        raise DataError(f"{name} has {samples} samples a pixel; expected {colours} to {colours + 4}; {MEND}")
    return Photometric(number), colours


def _choose_mode(
    directory: Directory, dtype: np.dtype[Any], *, samples: int, colours: int, name: str
) -> tuple[str, int]:
    extra = directory.numbers(Tag.EXTRA)
    # Four samples for RGB are RGB and alpha, where nothing is said.
    kind = extra[0] if extra else STRAIGHT * (samples > colours)
    alpha = kind if kind in {MULTIPLIED, STRAIGHT} and samples > colours and (colours, True) in MODES else 0
    mode = MODES[colours, bool(alpha)]
    if dtype == np.uint8:
        return mode, alpha
    if mode == "L":
        return {"f": "F", "i": "I"}.get(dtype.kind, "I;16" if dtype.itemsize == 2 else "I"), 0
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise DataError(
            f"{name} has colours of {8 * dtype.itemsize} bits ({dtype.name}); expected 8 or 16 bits; {MEND}"
        )
    return mode, alpha


def _read_compression(directory: Directory, dtype: np.dtype[Any], *, name: str) -> tuple[Compression, bool]:
    """Return how pieces are packed, and whether a sample is its difference to the one before."""
    number = directory.number(Tag.COMPRESSION, 1)
    predictor = directory.number(Tag.PREDICTOR, 1) if number in PREDICTED else 1
    if number not in set(Compression) or predictor not in {1, DIFFERENCES} or (predictor > 1 and dtype.kind == "f"):
        words = NAMES.get(number, f"way {number}" if predictor == 1 else f"predictor {predictor} of {dtype.name}")
        raise DataError(
            f"{name} is packed with {words}, which is not read (expected none, LZW, deflate, PackBits or JPEG); {MEND}"
        )
    return Compression(number), predictor == DIFFERENCES


def _read_pieces(
    directory: Directory, stream: IO[bytes], *, size: tuple[int, int], planes: int, name: str
) -> dict[str, Any]:
    width, height = size
    is_tiled = Tag.TILE_OFFSETS in directory.values or Tag.TILE_WIDTH in directory.values
    if is_tiled:
        piece_width, piece_height = directory.number(Tag.TILE_WIDTH), directory.number(Tag.TILE_HEIGHT)
        tags = (Tag.TILE_OFFSETS, Tag.TILE_BYTES)
    else:
        piece_width, piece_height = width, min(directory.number(Tag.STRIP_ROWS, height), height)
        tags = (Tag.STRIP_OFFSETS, Tag.STRIP_BYTES)
    if not min(width, height, piece_width, piece_height) > 0:
        raise DataError(
            f"{name} is damaged: it claims {height}x{width} pixels in pieces of {piece_height}x{piece_width}"
        )
    across, down = -(-width // piece_width), -(-height // piece_height)
    area = across * piece_width * down * piece_height
    # Of what is too large by itself all formats say the same.
    if across * down * planes > MOST_PIECES or width * height <= MAX_PIXELS < area:
        raise DataError(
            f"{name} has {across * down * planes} pieces of {piece_height}x{piece_width} pixels; the most are "
            f"{MOST_PIECES} pieces and {MAX_PIXELS} pixels; {MEND}"
        )
    pieces = tuple(zip(*(directory.numbers(tag) for tag in tags), strict=False))
    if len(pieces) != across * down * planes:
        raise DataError(
            f"{name} is damaged: its directory names {count_of(len(pieces), 'piece')}, and {height}x{width} pixels are "
            f"{across * down * planes}; get the file again"
        )
    # Pieces that all were the whole file would be read again and again.
    if sum(packed for _, packed in pieces) > stream.seek(0, SEEK_END):
        raise DataError(f"{name} is damaged: its pieces have more bytes than the file; get the file again")
    return {"piece_width": piece_width, "piece_height": piece_height, "is_tiled": is_tiled, "pieces": pieces}
