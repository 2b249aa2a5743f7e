from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_samples import draw_seven, encode, png_chunk, png_of_chunks
from PIL import Image
from png_variants import KINDS, write_png

from toolkit.errors import DataError
from toolkit.imaging import decode
from toolkit.imaging.decode import Decoded, decode_image
from toolkit.imaging.png import decode_plain_png

SEVEN = draw_seven()
Decode = Callable[[bytes], "Decoded | None"]
VARIANTS = [(colour, depth) for colour, (_, depths) in KINDS.items() for depth in depths]
FILTERS = [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0)]
PALETTE = png_chunk(b"PLTE", bytes(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8)))


def the_long_way(data: bytes) -> Decoded | None:
    """Pillow around the whole file, as it judges what is not plain; None where it refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "decode_plain_png", lambda _, bits: None)
        try:
            return decode_image(data)
        except DataError:
            return None


def whatever_way(data: bytes) -> Decoded | None:
    try:
        return decode_image(data)
    except DataError:
        return None


def agree(data: bytes) -> None:
    expected, found = the_long_way(data), whatever_way(data)
    assert (expected is None) == (found is None)
    if expected is not None and found is not None:
        assert found.notes == expected.notes
        assert found.pixels.dtype == np.uint8
        assert found.pixels.flags.writeable
        assert np.array_equal(found.pixels, expected.pixels)


def draw_samples(colour: int, depth: int, *, side: int = 19) -> np.ndarray:
    rng = np.random.default_rng(depth * 10 + colour)
    return rng.integers(0, 1 << depth, (side, side + 2, KINDS[colour][0]))


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize(("colour", "depth"), VARIANTS)
def test_every_variant_gives_the_pixels_of_the_long_way(
    colour: int, depth: int, filters: tuple[int, ...], interlace: bool
) -> None:
    extra = [PALETTE] if colour == 3 else []
    samples = draw_samples(colour, depth)
    data = write_png(samples, depth=depth, colour=colour, filters=filters, interlace=interlace, extra=extra)
    assert the_long_way(data) is not None
    agree(data)
    if depth == 8 and colour in {0, 2}:
        assert np.array_equal(decode_image(data).pixels, samples[..., 0] if colour == 0 else samples)


@pytest.mark.parametrize(
    ("data", "is_plain"),
    [
        (encode(SEVEN), True),
        (encode(np.dstack([SEVEN] * 3)), True),
        (write_png(draw_samples(0, 8), depth=8, colour=0, pieces=5), True),
        (write_png(draw_samples(6, 8), depth=8, colour=6), True),
        (write_png(draw_samples(0, 16), depth=16, colour=0), True),
        (encode(Image.fromarray(SEVEN), dpi=(300, 300)), True),
        (write_png(draw_samples(0, 8), depth=8, colour=0, interlace=True), False),
        (write_png(draw_samples(3, 8), depth=8, colour=3, extra=[PALETTE]), False),
        (write_png(draw_samples(0, 8), depth=8, colour=0, extra=[png_chunk(b"tRNS", b"\0\5")]), False),
        (write_png(draw_samples(0, 8), depth=8, colour=0, extra=[png_chunk(b"tEXt", b"Title\0x")]), False),
        (write_png(draw_samples(0, 8), depth=8, colour=0, extra=[png_chunk(b"gAMA", b"\0")]), False),
        (encode(np.zeros((600, 600), np.uint8)), False),
    ],
)
def test_only_plain_files_take_the_short_way_and_all_agree(data: bytes, is_plain: bool) -> None:
    assert (decode_plain_png(data) is not None) == is_plain
    agree(data)


def test_orientation_and_other_metadata_are_still_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encode(SEVEN, exif=exif)).notes == ("turned as its EXIF says",)


@pytest.mark.parametrize("tail", [b"", b"x", b"\0" * 8, png_chunk(b"IDAT", b"x"), encode(SEVEN)], ids=len)
def test_what_follows_the_end_is_judged_the_long_way(tail: bytes) -> None:
    agree(encode(SEVEN) + tail)


def test_every_truncation_and_every_flipped_byte_agrees() -> None:
    data = encode(SEVEN)
    for place in range(8, len(data)):
        agree(data[:place])
        broken = bytearray(data)
        broken[place] ^= 0x41
        agree(bytes(broken))


def test_split_pixel_data_agree() -> None:
    data = write_png(draw_samples(0, 8), depth=8, colour=0, pieces=3)
    place = data.index(b"IDAT", data.index(b"IDAT") + 4) - 4
    agree(data[:place] + png_chunk(b"tIME", b"\x07\xe0\1\1\1\1\1") + data[place:])


def mended(compressed: bytes, *, width: int = 28, height: int = 28) -> bytes:
    """Return a file with right checksums around any pixel data: what no checksum of a chunk can see."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return png_of_chunks(png_chunk(b"IHDR", header), png_chunk(b"IDAT", compressed))


ROWS = bytes(28 * 29)
PACKED = zlib.compress(zlib.decompress(encode(SEVEN)[41:-16]))


@pytest.mark.parametrize("cut", range(1, 14))
def test_pixel_data_cut_off_under_a_right_checksum_agree(cut: int) -> None:
    agree(mended(PACKED[:-cut]))


@pytest.mark.parametrize("rows", [ROWS[:-1], ROWS[:-29], ROWS + b"\0", ROWS * 2, b"\5" + ROWS[1:], b"\xff" * len(ROWS)])
def test_rows_that_do_not_fit_the_header_agree(rows: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    agree(mended(zlib.compress(rows)))
    agree(mended(zlib.compress(rows) + b"more"))
    assert capfd.readouterr() == ("", "")  # a C library must not write on its own


@given(data=st.data())
def test_any_damage_under_right_checksums_gives_one_verdict(data: st.DataObject) -> None:
    compressed = bytearray(PACKED)
    for place in data.draw(st.lists(st.integers(0, len(compressed) - 1), max_size=3)):
        compressed[place] ^= data.draw(st.integers(1, 255))
    file = mended(bytes(compressed[: data.draw(st.integers(1, len(compressed)))]))
    agree(file)


@given(
    kind=st.sampled_from([v for v in VARIANTS if v[0] != 3]),
    filters=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_any_picture_gives_the_pixels_of_the_long_way(
    kind: tuple[int, int], filters: list[int], height: int, width: int, seed: int
) -> None:
    colour, depth = kind
    samples = np.random.default_rng(seed).integers(0, 1 << depth, (height, width, KINDS[colour][0]))
    file = write_png(samples, depth=depth, colour=colour, filters=filters)
    agree(file)


def test_a_path_may_be_text_and_reading_takes_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(encode(SEVEN))
    assert np.array_equal(decode_image(str(tmp_path / "x.png")).pixels, SEVEN)
    with pytest.raises(DataError, match=r"cannot read .*null byte"):
        decode_image("a\0b")


def test_reading_a_small_file_takes_no_more_memory_than_it_has(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "x.png").write_bytes(encode(SEVEN))
    decode_image(tmp_path / "x.png")
    tracemalloc.start()
    try:
        decode_image(tmp_path / "x.png")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
