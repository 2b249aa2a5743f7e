"""TIFF files of one page, unpacked piece by piece; nothing is printed and nothing warned.

Pillow's own reader warns of damaged directories and hands what is packed to libtiff, which prints to the process's
stderr and takes memory for what a header claims.

Source: TIFF 6.0 and its technical note 2 (JPEG), by Adobe.

Shapes: H rows, W columns, c samples a pixel.
"""

from __future__ import annotations

__all__ = ["TIFF_MAGICS", "TiffPicture"]

import zlib
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.counts import count_of
from toolkit.imaging.codecs.jpeg import JpegPicture
from toolkit.imaging.codecs.picture import BYTE_BITS, ORIENTATION, OwnPicture, keep_upper_bytes
from toolkit.imaging.codecs.tiff_plan import MULTIPLIED, Compression, Photometric, TiffPlan, read_plan

CLEAR, END, FIRST = 256, 257, 258
# Codes have 9 bits, and one more from the code on before which the table's entry 511, 1023, 2047 was made: so the
# places of all codes are known from one clearing of the table to the next.
_ENTRIES = np.arange(FIRST - 1, 4096)
_BITS = 9 + np.digitize(_ENTRIES, (511, 1023, 2047))
_STARTS = np.concatenate([[0], np.cumsum(_BITS)[:-1]])
# A table is cleared when it is full, after thousands of bytes; nobody waits for one that is cleared all the time.
BYTES_A_TABLE, SPARE_TABLES = 1024, 4

TIFF_MAGICS = (b"II*\0", b"MM\0*")
# What one byte of the file becomes at the very best: bytes; of JPEG, pixels. Two bytes of PackBits are 128; a code of
# LZW has 12 bits when it stands for 3,838 bytes, the longest; of the others see `formats`.
MOST_UNPACKED = {
    Compression.RAW: 1,
    Compression.LZW: 2560,
    Compression.JPEG: 512,
    Compression.DEFLATE: 1032,
    Compression.OLD_DEFLATE: 1032,
    Compression.PACKBITS: 64,
}
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
# Adobe's segment tells of three components whether they are RGB or YCbCr; its last byte says which.
ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"


class TiffPicture(OwnPicture):
    """A TIFF file of one page, opened."""

    format = "TIFF"

    def _open(self) -> None:
        assert self.fp is not None
        self._plan = plan = read_plan(self.fp, name=self.name)
        self._size, self._mode, self.tile = (plan.width, plan.height), plan.mode, []
        self.info[ORIENTATION] = plan.turn
        best = MOST_UNPACKED[plan.compression]
        is_jpeg = plan.compression == Compression.JPEG
        self.most_pixels_per_byte = best if is_jpeg else max(1, best * BYTE_BITS // (plan.bits * plan.samples))

    def decode(self) -> Image.Image:
        """Return the picture; memory is taken for its samples, and for one piece of the file at a time."""
        plan = self._plan
        values = self._read_samples()[..., : plan.colours + bool(plan.alpha)]
        if plan.photometric == Photometric.INDEXED:
            return Image.fromarray(_look_up(values[..., 0], plan))
        if plan.photometric == Photometric.WHITE_IS_ZERO and plan.dtype.kind == "u":
            np.subtract((1 << plan.bits) - 1, values[..., :1], out=values[..., :1])
        if plan.bits < BYTE_BITS:
            values *= 255 // ((1 << plan.bits) - 1)
        return _as_image(values, plan, name=self.name)

    def _read_samples(self) -> npt.NDArray[Any]:
        """Return all samples, `[H, W, c]`, in this machine's order of bytes."""
        plan = self._plan
        samples = np.empty((plan.height, plan.width, plan.samples), plan.dtype.newbyteorder("="))
        across, down = -(-plan.width // plan.piece_width), -(-plan.height // plan.piece_height)
        for number, (offset, size) in enumerate(plan.pieces):
            plane, place = divmod(number, across * down)
            top, left = place // across * plan.piece_height, place % across * plan.piece_width
            target = samples[top : top + plan.piece_height, left : left + plan.piece_width]
            rows, columns = target.shape[:2]
            piece = self._read_piece(offset, size, rows=plan.piece_height if plan.is_tiled else rows)
            target[..., plane : plane + plan.together] = piece[:rows, :columns]
        return samples

    def _read_piece(self, offset: int, size: int, *, rows: int) -> npt.NDArray[Any]:
        """Return so many rows of a strip or a tile, `[rows, piece width, samples that lie together]`."""
        assert self.fp is not None
        plan = self._plan
        self.fp.seek(offset)
        packed = self.fp.read(size)
        if plan.compression == Compression.JPEG:
            return _unpack_jpeg(packed, plan, rows=rows)
        if plan.reversed:
            packed = packed.translate(REVERSED)
        raw = np.frombuffer(_unpack(packed, plan, rows=rows), np.uint8, rows * plan.row_bytes)
        if plan.bits < BYTE_BITS:
            return _spread_bits(raw.reshape(rows, plan.row_bytes), plan)
        values = raw.view(plan.dtype).reshape(rows, plan.piece_width, plan.together)
        if not plan.differences:
            return values
        plain = values.astype(plan.dtype.newbyteorder("="))
        return np.add.accumulate(plain, axis=1, out=plain)


def _unpack(packed: bytes, plan: TiffPlan, *, rows: int) -> bytes:
    """Return the bytes of so many rows, or more where they are not packed.

    Raises:
        ValueError: there are fewer.
    """
    size_bytes = rows * plan.row_bytes
    if plan.compression == Compression.PACKBITS:
        return Image.frombytes("L", (plan.row_bytes, rows), packed, "packbits", "L").tobytes()
    if plan.compression == Compression.LZW:
        return unpack_lzw(packed, size_bytes)
    if plan.compression == Compression.RAW:
        raw = packed
    else:
        stream = zlib.decompressobj()
        raw = stream.decompress(packed, size_bytes)
        stream.decompress(stream.unconsumed_tail, 1)  # the checksum stands behind the last byte
    if len(raw) < size_bytes:
        raise ValueError(f"a piece of it has {count_of(len(raw), 'byte')}, expected {size_bytes}")
    return raw


def _unpack_jpeg(packed: bytes, plan: TiffPlan, *, rows: int) -> npt.NDArray[np.uint8]:
    is_rgb = plan.photometric == Photometric.RGB
    adobe = ADOBE + bytes([0 if is_rgb else 1]) if plan.colours == 3 else b""
    # The tables are a file of their own without a picture: its end and the piece's begin go.
    start = plan.tables[:-2] if plan.tables else packed[:2]
    with JpegPicture(BytesIO(start + adobe + packed[2:])) as picture:
        width, height = picture.size
        if width < plan.piece_width or not rows <= height <= plan.piece_height:
            expected = f"{rows}x{plan.piece_width}"
            raise ValueError(f"a piece of it has {height}x{width} pixels, expected {expected}")
        picture.load()
        values = np.asarray(picture).reshape(height, width, -1)
    if values.shape[2] != plan.together:
        raise ValueError(f"a piece of it has {values.shape[2]} channels, expected {plan.together}")
    values = values[:, : plan.piece_width]
    # Pillow takes four channels for Adobe's CMYK, which is stored the other way round.
    return np.invert(values) if plan.together == 4 else values


def _spread_bits(raw: npt.NDArray[np.uint8], plan: TiffPlan) -> npt.NDArray[np.uint8]:
    """Return samples of less than a byte, one a byte."""
    count = plan.piece_width * plan.together
    bits = np.unpackbits(raw, axis=1, count=count * plan.bits)
    if plan.bits > 1:
        bits = bits.reshape(len(raw), count, plan.bits) @ (1 << np.arange(plan.bits)[::-1]).astype(np.uint8)
    return bits.reshape(len(raw), plan.piece_width, plan.together)


def _look_up(indices: npt.NDArray[np.uint8], plan: TiffPlan) -> npt.NDArray[np.uint8]:
    if len(plan.palette) != 3 << plan.bits:
        raise ValueError(f"its palette has {count_of(len(plan.palette), 'number')}, expected {3 << plan.bits}")
    table = np.array(plan.palette).reshape(3, -1).T
    # By the specification of 16 bits; of programs that write bytes all are under 256.
    return (table if table.max() < 1 << BYTE_BITS else table >> BYTE_BITS).astype(np.uint8)[indices]


def _as_image(values: npt.NDArray[Any], plan: TiffPlan, *, name: str) -> Image.Image:
    if plan.bits == 2 * BYTE_BITS and values.shape[2] > 1:
        values = keep_upper_bytes(values, name=name)
    values = np.ascontiguousarray(values[..., 0] if values.shape[2] == 1 else values)
    if plan.alpha == MULTIPLIED:
        return Image.fromarray(values, plan.mode.replace("A", "a")).convert(plan.mode)
    if plan.mode == "F":
        return Image.fromarray(values.astype(np.float32))
    if plan.mode == "I":  # what is too large for it is too large for a picture
        return Image.fromarray(np.minimum(values, np.iinfo(np.int32).max).astype(np.int32))
    return Image.fromarray(values) if plan.mode == "I;16" else Image.fromarray(values, plan.mode)


def unpack_lzw(packed: bytes, size_bytes: int) -> bytes:
    """Return the first `size_bytes` bytes of what is packed as LZW.

    Source: TIFF 6.0, section 13.

    Raises:
        ValueError: it ends before, or a code stands where it cannot.
    """
    data = np.frombuffer(packed + b"\0\0\0", np.uint8).astype(np.uint32)
    out = bytearray()
    place = 0
    for _ in range(SPARE_TABLES + size_bytes // BYTES_A_TABLE):
        codes = _read_codes(data, place, end=8 * len(packed))
        used = min((codes.index(code) for code in (CLEAR, END) if code in codes), default=len(codes))
        _append(out, codes[:used], most=size_bytes)
        if len(out) >= size_bytes:
            return bytes(out[:size_bytes])
        if used == len(codes) or codes[used] == END:
            break
        place += int(_STARTS[used] + _BITS[used])
    raise ValueError(f"its LZW data give {count_of(len(out), 'byte')}, expected {size_bytes}")


def _read_codes(data: npt.NDArray[np.uint32], place: int, *, end: int) -> list[int]:
    """Return the codes from a bit's place on, as many as there are until the table is full."""
    bits = _BITS[: np.searchsorted(_STARTS + _BITS, end - place, side="right")]
    starts = place + _STARTS[: len(bits)]
    first = starts >> 3
    window = data[first] << 16 | data[first + 1] << 8 | data[first + 2]
    codes: list[int] = (window >> (24 - (starts & 7) - bits) & ((1 << bits) - 1)).tolist()
    return codes


def _append(out: bytearray, codes: list[int], *, most: int) -> None:
    """Append what codes between two clearings stand for, until there is enough.

    Entry 258 + n of the table is what code n stood for and one byte more: the bytes from where that was written on.
    """
    begins: list[int] = []
    for code in codes:
        here = len(out)
        if here >= most:
            return
        if code < CLEAR:
            out.append(code)
        else:
            if code - FIRST >= len(begins):
                raise ValueError(f"its LZW data have code {code} before the table has")
            start, stop = begins[code - FIRST], [*begins[code - FIRST + 1 : code - FIRST + 2], here][0]
            # What the newest entry ends with is the first byte that is written now.
            out += out[start : stop + 1] if stop < here else out[start:] + out[start : start + 1]
        begins.append(here)
