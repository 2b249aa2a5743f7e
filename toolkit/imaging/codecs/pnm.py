"""PBM, PGM and PPM, plain and binary: a few numbers in letters, then the pixels; many a microscope writes them.

Pillow's own reader goes through every pixel in Python where the brightest is not 255, and takes what is too bright.

Source: the manual pages pbm, pgm, ppm of Netpbm.
"""

from __future__ import annotations

__all__ = ["PnmPicture", "is_pnm"]

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.counts import count_of
from toolkit.errors import DataError
from toolkit.imaging.codecs.picture import BYTE_BITS, OwnPicture, keep_upper_bytes

MAGIC = re.compile(rb"P[1-6][\s#]")
# What stands between two numbers of the header: space, and remarks to the end of their line.
SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
HEADERS = {
    kinds: re.compile(rb"P[" + kinds + rb"]" + b"".join([SPACE + rb"(\d{1,9})"] * count) + rb"(?:#[^\r\n]*)?\s")
    for kinds, count in ((b"14", 2), (b"2356", 3))
}
HEADER_BYTES = 4096
REMARK = re.compile(rb"#[^\r\n]*")
BRIGHTEST, LARGEST = 255, 65535
# Numbers in letters take many times their room while they are read.
CHUNK_BYTES = 1 << 20


def is_pnm(head: bytes) -> bool:
    """Say whether a file begins as one of the six kinds does."""
    return MAGIC.match(head) is not None


class PnmPicture(OwnPicture):
    """A PBM, PGM or PPM file of one picture, opened."""

    format = "PNM"

    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(HEADER_BYTES)
        kind = head[1:2]
        found = next(
            (found for kinds, pattern in HEADERS.items() if kind in kinds and (found := pattern.match(head))), None
        )
        if found is None:
            raise SyntaxError("its header has not the numbers that belong there")
        width, height, *brightest = map(int, found.groups())
        self._start, self._is_plain, self._has_bits = found.end(), kind in b"123", kind in b"14"
        self._brightest = brightest[0] if brightest else 1
        if not 0 < self._brightest <= LARGEST:
            raise DataError(
                f"{self.name} is damaged: its brightest value is {self._brightest}; expected 1 to {LARGEST}"
            )
        self._samples = 3 if kind in b"36" else 1
        self._size, self.tile = (width, height), []
        self._mode = "RGB" if self._samples > 1 else "L" if self._brightest <= BRIGHTEST else "I;16"
        self.most_pixels_per_byte = BYTE_BITS if kind == b"4" else 1

    def decode(self) -> Image.Image:
        """Return the picture."""
        assert self.fp is not None
        self.fp.seek(self._start)
        values = self._read_plain() if self._is_plain else self._read_binary()
        if self._has_bits:
            return Image.fromarray(np.where(values[..., 0], np.uint8(0), np.uint8(BRIGHTEST)))
        pixels = self._scale(values)
        if pixels.dtype == np.uint16 and self._samples > 1:
            pixels = keep_upper_bytes(pixels, name=self.name)
        return Image.fromarray(pixels if self._samples > 1 else pixels[..., 0])

    def _read_binary(self) -> npt.NDArray[Any]:
        assert self.fp is not None
        width, height = self.size
        dtype = np.dtype(np.uint8 if self._brightest <= BRIGHTEST else ">u2")
        row = (width + 7) // 8 if self._has_bits else width * self._samples * dtype.itemsize
        data = self.fp.read(height * row)
        if len(data) < height * row:
            raise ValueError(f"{count_of(len(data), 'byte')} of pixels, expected {height * row}")
        if is_pnm(self.fp.read(3)):
            raise DataError(f"{self.name} holds several pictures; save each as a file of its own: pamsplit NAME")
        if self._has_bits:
            return np.unpackbits(np.frombuffer(data, np.uint8).reshape(height, row), axis=1, count=width)[
                ..., np.newaxis
            ]
        return np.frombuffer(data, dtype).reshape(height, width, self._samples)

    def _read_plain(self) -> npt.NDArray[Any]:
        assert self.fp is not None
        width, height = self.size
        values = np.empty(width * height * self._samples, np.uint8 if self._brightest <= BRIGHTEST else np.uint16)
        text = REMARK.sub(b"", self.fp.read())
        done, place = 0, 0
        while done < values.size and place < len(text):
            # A number must not be cut: the chunk goes on to the next space.
            space = re.compile(rb"\s").search(text, place + CHUNK_BYTES)
            end = space.start() if space else len(text)
            some = self._read_numbers(text[place:end])[: values.size - done]
            values[done : done + len(some)] = some
            done, place = done + len(some), end
        if done < values.size:
            raise ValueError(f"{count_of(done, 'number')}, expected {values.size}")
        return values.reshape(height, width, self._samples)

    def _read_numbers(self, text: bytes) -> npt.NDArray[Any]:
        if self._has_bits:  # a digit each, with space between them or without
            numbers: npt.NDArray[Any] = np.frombuffer(b"".join(text.split()), np.uint8) - np.uint8(ord("0"))
        else:
            numbers = np.array([int(word) for word in text.split()], np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() <= self._brightest:
            raise ValueError(f"values from {numbers.min()} to {numbers.max()}, expected 0 to {self._brightest}")
        return numbers

    def _scale(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return numbers that end at 255 or 65,535, to the nearest."""
        if values.max() > self._brightest:
            raise ValueError(f"values to {values.max()}, expected {self._brightest} at most")
        dtype, most = (np.uint8, BRIGHTEST) if self._brightest <= BRIGHTEST else (np.uint16, LARGEST)
        if self._brightest == most:
            return values.astype(dtype)
        table = (np.arange(self._brightest + 1) * most + self._brightest // 2) // self._brightest
        return np.asarray(table.astype(dtype)[values])
