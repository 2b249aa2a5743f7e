from __future__ import annotations

import numpy as np
import pytest
from imaging_samples import encode, oversized_png
from PIL import Image

from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (1500, 1400)])
def test_the_emptiest_png_passes(mode: str, size: tuple[int, int]) -> None:
    decode_image(encode(Image.new(mode, size), compress_level=9))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"quality": 1, "subsampling": 2}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_the_emptiest_jpeg_passes(mode: str, options: dict[str, object]) -> None:
    decode_image(encode(Image.new(mode, (3000, 3000)), "JPEG", **options))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_the_emptiest_gif_and_bmp_pass(mode: str) -> None:
    decode_image(encode(Image.new(mode, (4000, 4000)), "GIF"))
    decode_image(encode(Image.new(mode, (500, 500)), "BMP"))
    decode_image(encode(Image.new(mode, (1, 1)), "BMP"))


@pytest.mark.parametrize("size", [(6000, 6000), (40_000_000, 1), (1, 39_000_000)])
def test_a_small_file_that_claims_much_is_refused_before_memory_is_taken(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"holds .* at most"):
        decode_image(oversized_png(*size))


@pytest.mark.parametrize(("kind", "place", "order"), [("JPEG", 5, ">"), ("GIF", 6, "<"), ("BMP", 18, "<")])
def test_other_formats_that_claim_much_are_refused(kind: str, place: int, order: str) -> None:
    data = bytearray(encode(np.zeros((30, 30, 3), np.uint8), kind))
    start = data.index(b"\xff\xc0") if kind == "JPEG" else 0
    width = 4 if kind == "BMP" else 2
    for offset in (0, width):
        data[start + place + offset : start + place + offset + width] = (6000).to_bytes(
            width, "big" if order == ">" else "little"
        )
    with pytest.raises(DataError, match=r"holds .* at most"):
        decode_image(bytes(data))
