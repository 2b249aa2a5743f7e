from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import draw_seven, encode, oversized_png, oversized_webp, text_bomb_png
from PIL import Image, ImageFile

from toolkit.card import InputSpec
from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image
from toolkit.imaging.prepare import prepare_image
from toolkit.imaging.settings import MAX_FILE_BYTES

SEVEN = draw_seven()
SPEC = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")


def prepared(data: bytes) -> np.ndarray:
    return prepare_image(decode_image(data).pixels, SPEC)[0]


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("GIF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_give_back_every_pixel(kind: str, options: dict) -> None:
    assert np.array_equal(prepared(encode(SEVEN, kind, **options)), SEVEN)


def test_jpeg_is_decoded_close_to_the_original() -> None:
    assert np.abs(prepared(encode(SEVEN, "JPEG", quality=95)).astype(int) - SEVEN).mean() < 5


def test_grey_png_is_untouched_and_has_no_notes() -> None:
    decoded = decode_image(encode(SEVEN))
    assert decoded.notes == ()
    assert decoded.pixels.dtype == np.uint8
    assert np.array_equal(decoded.pixels, SEVEN)


@pytest.mark.parametrize(
    "data", [oversized_png(65535, 65535), oversized_png(10_000, 9_500), oversized_png(8_101, 8_100)]
)
def test_size_is_refused_from_the_header(data: bytes) -> None:
    with pytest.raises(DataError, match=r"too large|pixels; the most is 65000000"):
        decode_image(data, name="x.png")


def test_size_of_a_webp_is_refused_before_its_library_reserves_a_canvas() -> None:
    with pytest.raises(DataError, match="8100x8101 pixels; the most is 65000000"):
        decode_image(oversized_webp(8_101, 8_100))


def test_oversized_headers_cost_no_memory(tmp_path: Path) -> None:
    for number, data in enumerate(
        (oversized_png(65535, 65535), oversized_png(8_101, 8_100), oversized_webp(65535, 65535))
    ):
        (tmp_path / f"{number}.png").write_bytes(data)
    code = """
import resource, sys, pathlib
from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        decode_image(path)
    except DataError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    *messages, grown_kib = result.stdout.split("\n")[:-1]
    assert len(messages) == 3
    assert all("too large" in message or "the most is 65000000" in message for message in messages)
    assert int(grown_kib) < 50 * 1024


@pytest.mark.parametrize("kind", ["JPEG2000", "AVIF", "ICO", "TGA", "PCX"])
def test_other_formats_are_refused_whatever_the_name_says(kind: str) -> None:
    data = encode(Image.fromarray(SEVEN).resize((32, 32)), kind)
    with pytest.raises(DataError, match="format not allowed"):
        decode_image(data, name="x.png")


@pytest.mark.parametrize(
    "data",
    [
        b"8BPS\0\1" + b"\0" * 60,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"SIMPLE  =                    T" + b" " * 80,
        b"text",
    ],
)
def test_bytes_of_other_kinds_are_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="format not allowed"):
        decode_image(data, name="x.png")


def test_a_format_that_is_known_by_name_comes_with_the_step() -> None:
    with pytest.raises(DataError, match=r"WEBP, TIFF, PNM; convert HEIC to PNG or JPEG: magick mogrify"):
        decode_image(b"\0\0\0 ftypheic" + bytes(60), name="IMG_1.HEIC")


def test_empty_file_is_named_empty() -> None:
    with pytest.raises(DataError, match=r"x\.png is empty"):
        decode_image(b"", name="x.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = encode(noise, kind)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(DataError, match=r"x\.img"):
        decode_image(data[: int(len(data) * share)], name="x.img")


def test_any_flipped_byte_of_a_png_is_refused() -> None:
    data = encode(SEVEN)
    end = data.index(b"IEND")
    for place in range(8, end - 4):
        broken = bytearray(data)
        broken[place] ^= 0x10
        with pytest.raises(DataError):
            decode_image(bytes(broken))


def test_text_bomb_is_refused() -> None:
    with pytest.raises(DataError, match="damaged"):
        decode_image(text_bomb_png(100 << 20))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    frames = [Image.fromarray(SEVEN), Image.fromarray(255 - SEVEN)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="animated"):
        decode_image(data)


def test_sixteen_bit_grey_equals_its_eight_bit_twin() -> None:
    deep = SEVEN.astype(np.uint16) * 257
    decoded = decode_image(encode(deep))
    assert np.array_equal(decoded.pixels, SEVEN)
    assert decoded.notes == ("16-bit grey scaled to 8 bits",)


def test_dark_ink_on_white_in_sixteen_bits_equals_the_light_twin() -> None:
    deep = (65535 - SEVEN.astype(np.uint16) * 257).astype(np.uint16)
    assert np.array_equal(prepared(encode(deep)), SEVEN)


def transparent(mode: str, *, ink: int) -> Image.Image:
    grey = np.full_like(SEVEN, ink)
    channels = [grey, SEVEN] if mode == "LA" else [grey, grey, grey, SEVEN]
    return Image.fromarray(np.dstack(channels))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(("ink", "ground"), [(0, "white"), (255, "black")])
def test_transparent_ink_stays_visible_and_equals_its_flat_twin(mode: str, ink: int, ground: str) -> None:
    data = encode(transparent(mode, ink=ink))
    assert decode_image(data).notes == (f"transparency laid over {ground}",)
    assert np.array_equal(prepared(data), SEVEN)


def test_transparent_palette_equals_its_flat_twin() -> None:
    image = Image.fromarray((SEVEN > 0).astype(np.uint8))
    image.putpalette([90, 90, 90, 0, 0, 0])
    assert image.mode == "P"
    data = encode(image, transparency=0)
    assert np.array_equal(prepared(data), np.where(SEVEN > 0, 255, 0))


def test_opaque_alpha_changes_nothing() -> None:
    image = Image.fromarray(SEVEN).convert("RGBA")
    decoded = decode_image(encode(image))
    assert decoded.notes == ()
    assert np.array_equal(prepared(encode(image)), SEVEN)


def test_cmyk_equals_its_flat_twin_nearly() -> None:
    data = encode(Image.fromarray(SEVEN).convert("RGB").convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert decode_image(data).notes == ("mode CMYK converted to RGB",)
    assert np.abs(prepared(data).astype(int) - SEVEN).mean() < 3


def test_one_bit_equals_its_flat_twin() -> None:
    flat = np.where(SEVEN > 0, 255, 0).astype(np.uint8)
    image = Image.fromarray(flat).convert("1", dither=Image.Dither.NONE)
    assert np.array_equal(prepared(encode(image)), flat)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90), (8, Image.Transpose.ROTATE_270)],
)
def test_exif_rotation_is_undone(orientation: int, turn: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(SEVEN).transpose(turn), exif=exif)
    decoded = decode_image(data)
    assert decoded.notes == ("turned as its EXIF says",)
    assert np.array_equal(decoded.pixels, SEVEN)


def test_path_that_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(DataError, match="not a regular file"):
        decode_image(tmp_path / "x.png")
    with pytest.raises(DataError, match="cannot read"):
        decode_image(tmp_path / "missing.png")


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.bmp"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="the most is"):
        decode_image(path)


def test_a_phones_picture_under_another_name_is_told() -> None:
    with pytest.raises(DataError, match=r"a\.jpg: format not allowed.*; it is HEIC under another name: rename it"):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(40), name="a.jpg")
