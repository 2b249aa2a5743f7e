from __future__ import annotations

import numpy as np
import pytest
from imaging_samples import encode, oversized_png
from PIL import Image

from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image


def claim(kind: str, *, side: int) -> bytes:
    """A whole file of 30x30 pixels whose header says otherwise."""
    data = bytearray(encode(np.zeros((30, 30, 3), np.uint8), kind))
    places, width, order = {
        "JPEG": ((data.find(b"\xff\xc0") + 5,), 2, "big"),
        "GIF": ((6, data.find(b"\x2c") + 5), 2, "little"),
        "BMP": ((18,), 4, "little"),
    }[kind]
    for place in places:
        data[place : place + 2 * width] = side.to_bytes(width, order) * 2  # type: ignore[arg-type]
    return bytes(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"quality": 1, "subsampling": 2}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_the_emptiest_jpeg_passes(mode: str, options: dict[str, object]) -> None:
    decoded = decode_image(encode(Image.new(mode, (3000, 3000)), "JPEG", **options))
    assert decoded.pixels.shape[:2] == (3000, 3000)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (1500, 1400)])
def test_the_emptiest_png_passes(mode: str, size: tuple[int, int]) -> None:
    decoded = decode_image(encode(Image.new(mode, size), compress_level=9))
    assert decoded.pixels.shape[:2] == size[::-1]


@pytest.mark.parametrize(
    "data",
    [
        claim("JPEG", side=6000),
        claim("GIF", side=6000),
        claim("BMP", side=6000),
        oversized_png(6000, 6000),
        oversized_png(65_000_000, 1),
        oversized_png(1, 63_000_000),
    ],
    ids=["jpeg", "gif", "bmp", "png", "wide", "high"],
)
def test_a_small_file_that_claims_much_is_refused_before_memory_is_taken(data: bytes) -> None:
    with pytest.raises(DataError, match=r"claims \d+x\d+ pixels in a file of \d+ bytes, which holds \d+ at most"):
        decode_image(data)


def test_the_emptiest_gif_passes() -> None:
    assert decode_image(encode(Image.new("P", (3000, 3000)), "GIF")).pixels.shape[:2] == (3000, 3000)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_the_emptiest_bmp_passes(mode: str) -> None:
    assert decode_image(encode(Image.new(mode, (300, 300)), "BMP")).pixels.shape[:2] == (300, 300)
