"""A faster decoder than Pillow's for plain grey and RGB PNG files: imagecodecs' libspng, where it is installed.

It is more lenient than Pillow about pixel data that were cut off and given a right checksum. So the data are inflated
here first and judged: what then reaches the decoder is whole, and its pixels can only be the right ones. OpenCV has to
be kept from such data as well (it writes about them on standard error) and is then no faster than Pillow's decoder
called directly: see benchmarks/decode.py.
"""

from __future__ import annotations

__all__ = ["FastDecoder", "find_fast_decoder"]

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

PAETH = 4  # the last of PNG's five row filters
PROBE_SIDE = 23


class FastDecoder(NamedTuple):
    """A decoder of whole PNG files.

    Attributes:
        name: of its package.
        decode: bytes of a file to uint8 `[H, W]` or `[H, W, 3]`, RGB.
    """

    name: str
    decode: Callable[[bytes], npt.NDArray[np.uint8]]

    def decode_checked(self, data: bytes, compressed: bytes, *, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
        """Decode one file, or return None where its pixel data are not exactly what its header promises.

        Args:
            data: the whole file, its checksums compared.
            compressed: the bodies of its IDAT chunks.
            shape: `[H, W]` or `[H, W, 3]`.

        Raises:
            Exception: what the decoder raises; with whole data it has no reason to.
        """
        inflater = zlib.decompressobj()
        rows = inflater.decompress(compressed)
        row_bytes = 1 + shape[1] * (3 if len(shape) == 3 else 1)
        if not inflater.eof or inflater.unused_data or len(rows) != row_bytes * shape[0]:
            return None
        if max(rows[::row_bytes]) > PAETH:
            return None
        pixels = self.decode(data)
        return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def find_fast_decoder() -> FastDecoder | None:
    """Return imagecodecs' decoder where it can be imported and gives a probe's pixels back; else None."""
    try:
        from imagecodecs import spng_decode

        decoder = FastDecoder("imagecodecs", spng_decode)
        return decoder if _gives_probes_back(decoder) else None
    except Exception:  # noqa: BLE001 - a broken optional package is a missing one
        return None


def _gives_probes_back(decoder: FastDecoder) -> bool:
    ramp = np.arange(PROBE_SIDE * PROBE_SIDE * 3, dtype=np.uint32)
    colour = (ramp * ramp // 7 % 251).astype(np.uint8).reshape(PROBE_SIDE, PROBE_SIDE, 3)
    for pixels in (colour, np.ascontiguousarray(colour[..., 0])):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        if not np.array_equal(decoder.decode(stream.getvalue()), pixels):
            return False
    return True
