"""How many pixels a file of some size can hold at most: a header that claims more is a lie, or the file is cut off.

The limits follow from the formats, at their very best on a picture of one colour:

- PNG: deflate packs 1,032 bytes into one (zlib's technical details, "Maximum Compression Factor").
- JPEG: one bit at least for each block of 8x8 pixels, as no Huffman code is shorter (ITU-T T.81, annexes F and G).
- GIF: a code of 12 bits stands for at most 3,838 pixels once its table is full (the 4,096 codes without the first 258).
- BMP: a bit for each pixel at least, where it is not packed; packed, it may skip any number of them.

WebP has no limit.
"""

from __future__ import annotations

__all__ = ["check_density"]

from typing import TYPE_CHECKING

from toolkit.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

DEFLATE_RATIO = 1032
PIXELS_PER_BYTE = {"JPEG": 512, "MPO": 512, "GIF": 2560}
# Palettes, and grey of few bits, take a bit a pixel at least.
PNG_BITS = {"RGB": 24, "LA": 16, "RGBA": 32, "I;16": 16, "I;16B": 16}
BMP_BITS = {"RGB": 16, "RGBA": 32}
NOT_PACKED = {0, 3}  # BI_RGB, BI_BITFIELDS


def check_density(image: Image.Image, *, num_bytes: int, name: str) -> None:
    """Refuse a picture that its file cannot hold, before memory is taken for it.

    Args:
        image: opened, not loaded.
        num_bytes: size of the file.
        name: what the picture is called in messages.

    Raises:
        DataError: it claims more pixels than the format can pack into so many bytes.
    """
    most = _count_most(image, num_bytes)
    width, height = image.size
    if most is not None and width * height > most:
        seen = f"{width}x{height} pixels in a file of {num_bytes} bytes"
        raise DataError(
            f"{name} is damaged or cut off: it claims {seen}, which holds {most} at most; get the file again"
        )


def _count_most(image: Image.Image, num_bytes: int) -> int | None:
    kind = image.format or ""
    if kind == "PNG":
        return num_bytes * DEFLATE_RATIO * 8 // PNG_BITS.get(image.mode, 1)
    if kind == "BMP" and image.info.get("compression") in NOT_PACKED:
        return num_bytes * 8 // BMP_BITS.get(image.mode, 1)
    return num_bytes * PIXELS_PER_BYTE[kind] if kind in PIXELS_PER_BYTE else None
