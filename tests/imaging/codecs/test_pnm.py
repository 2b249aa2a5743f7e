"""PBM, PGM and PPM, plain and binary."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import draw_seven, encode
from PIL import Image

from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image, read_image_header

SEVEN = draw_seven()
COLOURS = np.random.default_rng(0).integers(0, 256, (11, 13, 3), dtype=np.uint8)


def plain(kind: int, values: np.ndarray, most: int | None) -> bytes:
    height, width = values.shape[:2]
    head = f"P{kind} # by hand\n{width} {height}\n" + (f"{most}\n" if most else "")
    return (head + "\n".join(" ".join(map(str, row.ravel())) for row in values)).encode()


@pytest.mark.parametrize("pixels", [SEVEN, COLOURS], ids=["grey", "colour"])
def test_bytes_come_back_as_they_were_written(pixels: np.ndarray) -> None:
    kind = 2 if pixels.ndim == 2 else 3
    assert np.array_equal(decode_image(encode(pixels, "PPM")).pixels, pixels)
    assert np.array_equal(decode_image(plain(kind, pixels, 255)).pixels, pixels)


@pytest.mark.parametrize("width", [1, 7, 8, 9, 28])
def test_bits_have_their_zero_white_and_rows_that_begin_with_a_byte(width: int) -> None:
    ink = SEVEN[:, :width] > 0
    expected = np.where(ink, 0, 255)
    binary = encode(Image.fromarray(~ink), "PPM")
    packed = plain(1, ink.astype(int), None)
    glued = packed.replace(b" 0", b"0").replace(b" 1", b"1") if width > 1 else packed
    for data in (binary, packed, glued):
        assert np.array_equal(decode_image(data).pixels, expected)


@pytest.mark.parametrize("most", [1, 15, 100, 254])
def test_another_brightest_value_is_scaled_to_the_nearest(most: int) -> None:
    values = np.arange(most + 1, dtype=np.uint8).reshape(1, -1)
    expected = np.floor(values / most * 255 + 0.5)
    binary = f"P5 {most + 1} 1 {most}\n".encode() + values.tobytes()
    assert np.array_equal(decode_image(binary).pixels, expected)
    assert np.array_equal(decode_image(plain(2, values, most)).pixels, expected)


def test_16_bits_are_what_they_are_in_a_png() -> None:
    for deep in (SEVEN.astype(np.uint16) * 257, SEVEN.astype(np.uint16), SEVEN.astype(np.uint16) * 16):
        data = b"P5 28 28 65535\n" + deep.astype(">u2").tobytes()
        png = decode_image(encode(Image.fromarray(deep)))
        for decoded in (decode_image(data), decode_image(plain(2, deep, 65535))):
            assert np.array_equal(decoded.pixels, png.pixels)
            assert decoded.notes == png.notes


def test_12_bits_reach_white() -> None:
    deep = SEVEN.astype(np.uint16) * 16 + SEVEN // 16
    assert deep.max() == 4095
    assert np.array_equal(decode_image(b"P5 28 28 4095\n" + deep.astype(">u2").tobytes()).pixels, SEVEN)
    colour = np.repeat(deep[..., np.newaxis], 3, axis=2)
    assert np.array_equal(decode_image(plain(3, colour, 4095)).pixels, np.repeat(SEVEN[..., np.newaxis], 3, axis=2))


def test_remarks_stand_anywhere_between_the_numbers() -> None:
    data = b"P2#one\n# two\n 2 # three\r\n1\n#four\n9 # five\n1 # six\n 2"
    assert decode_image(data).pixels.tolist() == [[28, 57]]
    assert decode_image(b"P5\n#a\n2 1\n#b\n255\n#,").pixels.tolist() == [[35, 44]]


def test_the_header_is_read_without_the_pixels(tmp_path: Path) -> None:
    (tmp_path / "x.pgm").write_bytes(b"P5 300 200 65535\n")
    header = read_image_header(tmp_path / "x.pgm")
    assert (header.height, header.width, header.is_grey, header.is_deep) == (200, 300, True, True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P5 28 28 255\n" + bytes(783), "claims 28x28 pixels in a file of|783 bytes of pixels, expected 784"),
        (b"P5 8101 8100 255\n" + bytes(99), "has 8100x8101 pixels; the most is"),
        (b"P5 6000 6000 255\n" + bytes(99), "claims 6000x6000 pixels in a file of"),
        (b"P5 1 1 0\n0", "its brightest value is 0"),
        (b"P5 1 1 65536\n00", "its brightest value is 65536"),
        (b"P5 1 1 9\n\x0a", "values to 10, expected 9 at most"),
        (b"P2 2 1 9\n1 10", "values from 1 to 10, expected 0 to 9"),
        (b"P2 2 1 9\n1 -1", "values from -1 to 1, expected 0 to 9"),
        (b"P2 2 1 9\n1         ", "1 number, expected 2"),
        (b"P1 2 1\n12  ", "values from 1 to 2"),
        (b"P3 1 1 9\n1 x 3", "is damaged"),
        (b"P5 28\n", "its header cannot be read"),
        (encode(SEVEN, "PPM") * 2, "holds several pictures; save each"),
        (b"Pf 1 1 -1\n0000", "format not allowed"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode_image(data)


def test_bits_without_spaces_take_a_byte_each() -> None:
    data = b"P1 3000 3000\n" + b"01" * 4_500_000
    tracemalloc.start()
    assert decode_image(data).pixels[:, :2].tolist() == [[255, 0]] * 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(data)


def test_a_long_plain_file_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.imaging.codecs.pnm.CHUNK_BYTES", 7)
    assert np.array_equal(decode_image(plain(3, COLOURS, 255)).pixels, COLOURS)
