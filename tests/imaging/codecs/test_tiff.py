"""TIFF, held against Pillow's own reader wherever that reads a file, and against what was written where it is wrong."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging_samples import draw_seven, encode
from PIL import Image

from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image, decode_opened, read_image_header
from toolkit.imaging.formats import open_picture
from toolkit.imaging.pixel_values import flatten_image

SEVEN = draw_seven()
COLOURS = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
SMOOTH = Image.fromarray(COLOURS).resize((131, 77), Image.Resampling.BICUBIC)
PACKINGS = (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg")
# By tag: rows of a strip, predictor, the lowest bit first, white is zero.
DRESSES: tuple[dict[int, int], ...] = ({}, {278: 16}, {317: 2}, {266: 2}, {262: 0})

# Modes that Pillow itself does not write or read so.
DEEP = ("LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
UNWRITTEN: dict[int, tuple[str, ...]] = {317: ("1", "F"), 266: DEEP, 262: DEEP}


def tiff(image: Image.Image, packing: str | None = None, tags: dict[int, int] | None = None, **options: Any) -> bytes:
    return encode(image, "TIFF", compression=packing, tiffinfo=tags or {}, **options)


def make(mode: str) -> Image.Image:
    grey = SMOOTH.convert("L")
    if mode == "I;16":
        return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(np.asarray(grey).astype(np.float32))
    if mode == "RGBA":
        image = SMOOTH.convert("RGBA")
        image.putalpha(grey)
        return image
    return SMOOTH.convert(mode)


def read_by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return flatten_image(image)[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_way_to_write_it_is_read_as_pillow_does(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    written = 0
    for packing in PACKINGS:
        for tags in DRESSES:
            if (packing == "jpeg" and mode not in {"L", "RGB", "RGBA", "CMYK"}) or mode in UNWRITTEN.get(
                min(tags, default=0), ()
            ):
                continue
            data = tiff(make(mode), packing, tags)
            assert np.array_equal(decode_image(data).pixels, read_by_pillow(data)), (packing, tags)
            written += 1
    assert written >= 10
    assert capfd.readouterr().err == ""


def test_tiles_and_planes_are_put_together() -> None:
    grey = np.asarray(SMOOTH.convert("L"))
    tiles = [
        np.pad(grey, ((0, 19), (0, 29)))[top : top + 32, left : left + 32]
        for top in (0, 32, 64)
        for left in range(0, 160, 32)
    ]
    planes = [np.asarray(SMOOTH)[..., channel] for channel in range(3)]
    tiled = write_tiff(tiles, width=131, height=77, tags={322: 32, 323: 32}, names=(324, 325))
    planar = write_tiff(planes, width=131, height=77, tags={262: 2, 277: 3, 284: 2})
    assert np.array_equal(decode_image(tiled).pixels, grey)
    assert np.array_equal(decode_image(planar).pixels, np.asarray(SMOOTH))


def write_tiff(
    pieces: list[Any],
    *,
    width: int,
    height: int,
    tags: dict[int, int] | None = None,
    names: tuple[int, int] = (273, 279),
) -> bytes:
    """A file of one directory, big-endian; a value stands in its entry, lists behind the pieces."""
    bodies = [np.ascontiguousarray(piece).tobytes() for piece in pieces]
    offsets = [8, *(8 + np.cumsum([len(part) for part in bodies[:-1]]))]
    body = b"".join(bodies)
    entries: dict[int, list[int]] = {256: [width], 257: [height], 258: [8], 259: [1], 262: [1], 277: [1]}
    entries |= {tag: [value] for tag, value in (tags or {}).items()}
    entries = {names[0]: offsets, names[1]: [len(part) for part in bodies], **entries}
    rows, rest, place = b"", b"", 8 + len(body) + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f">{len(values)}I", *values)
        rows += struct.pack(">HHI", tag, 4, len(values))
        rows += packed if len(packed) == 4 else struct.pack(">I", place + len(rest))
        rest += packed if len(packed) > 4 else b""
    directory = struct.pack(">H", len(entries)) + rows + struct.pack(">I", 0)
    return b"MM\0*" + struct.pack(">I", 8 + len(body)) + body + directory + rest


def test_colours_that_alpha_is_multiplied_into_are_divided_again() -> None:
    layers = make("RGBA").convert("RGBa")
    data = write_tiff([np.asarray(layers)], width=131, height=77, tags={262: 2, 277: 4, 338: 1})
    assert np.array_equal(decode_image(data).pixels, flatten_image(layers.convert("RGBA"))[0])


def test_grey_of_16_bits_whose_zero_is_white_is_turned() -> None:
    deep = np.asarray(SMOOTH.convert("L")).astype(np.uint16) * 257
    data = tiff(Image.fromarray(deep), None, {262: 0})
    assert np.array_equal(decode_image(data).pixels, 255 - (deep >> 8))


def test_16_bit_colour_keeps_its_upper_bytes_and_dark_colour_is_refused() -> None:
    deep = np.asarray(SMOOTH).astype(">u2") * 257
    tags = {258: 16, 262: 2, 277: 3}
    data = write_tiff([deep.astype(">u2")], width=131, height=77, tags=tags)
    assert np.array_equal(decode_image(data).pixels, np.asarray(SMOOTH))
    with pytest.raises(DataError, match="16-bit colour whose values end under 4,096"):
        decode_image(write_tiff([(deep >> 6).astype(">u2")], width=131, height=77, tags=tags))


@pytest.mark.parametrize("turn", range(1, 9))
def test_it_is_turned_as_it_says(turn: int, tmp_path: Path) -> None:
    data = tiff(Image.fromarray(SEVEN[:20]), "tiff_lzw", {274: turn})
    (tmp_path / "x.tif").write_bytes(data)
    decoded = decode_image(data)
    with Image.open(io.BytesIO(data)) as image:  # Pillow turns it itself, and it must not be turned again
        assert np.array_equal(decoded.pixels, decode_opened(image, name="x").pixels)
    header = read_image_header(tmp_path / "x.tif")
    assert (header.height, header.width) == decoded.pixels.shape
    assert ("turned as its EXIF says" in decoded.notes) == (turn > 1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.linspace(0, 1, 784, dtype=np.float32).reshape(28, 28), "lie between 0 and 1"),
        (np.full((28, 28), np.nan, np.float32), "has nan at row 0, column 0"),
        (np.full((28, 28), 70_000, np.int32), "values from 70000 to 70000"),
        (np.full((28, 28), -1, np.int32), "values from -1 to -1"),
    ],
)
def test_numbers_that_are_no_pixels_are_judged_as_everywhere(values: np.ndarray, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode_image(tiff(Image.fromarray(values)))


def test_whole_floats_are_pixels() -> None:
    assert np.array_equal(decode_image(tiff(Image.fromarray(SEVEN.astype(np.float32)))).pixels, SEVEN)


def test_several_pages_are_refused_with_the_step() -> None:
    page = Image.fromarray(SEVEN)
    data = encode(page, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(DataError, match=r"^x has several pages; save each as a file of its own: magick"):
        decode_image(data, name="x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(SMOOTH.convert("1"), "group4"), "is packed with CCITT fax 4, which is not read"),
        (tiff(SMOOTH.convert("LAB")), "holds colours of kind 8; expected grey, RGB, a palette or CMYK"),
        (write_tiff([SEVEN], width=28, height=28, tags={254: 1}), "is a camera's raw file; export it as JPEG"),
        (write_tiff([SEVEN], width=65535, height=65535), "has 65535x65535 pixels; the most is"),
        (write_tiff([SEVEN], width=6000, height=6000), "claims 6000x6000 pixels in a file of"),
        (
            write_tiff([b""] * 70_000, width=100, height=70_000, tags={278: 1}),
            "70000 pieces of 1x100 pixels; the most",
        ),
        (write_tiff([SEVEN], width=28, height=28, tags={258: 7}), r"samples of \[7\] bits"),
        (write_tiff([SEVEN], width=28, height=28, tags={277: 200}), "has 200 samples a pixel; expected 1 to 5"),
        (write_tiff([SEVEN, SEVEN], width=28, height=28), "names 2 pieces, and 28x28 pixels are 1"),
        (write_tiff([SEVEN], width=28, height=28, tags={279: 99_999}), "its pieces have more bytes than the file"),
        (
            write_tiff([SEVEN], width=8000, height=8000, tags={258: 64, 339: 3}),
            "8000x8000 pixels of 8 bytes each",
        ),
        (b"II*\0\x08\0\0\0", "its TIFF directory cannot be read"),
        (b"II*\0\xff\xff\xff\xff" + bytes(99), "its TIFF directory cannot be read"),
    ],
)
def test_what_is_not_read_says_why_and_what_to_do(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode_image(data)


def test_a_directory_that_names_one_megabyte_many_times_costs_nothing() -> None:
    entries = b"".join(struct.pack("<HHII", 20_000 + tag, 1, 1_000_000, 8) for tag in range(30_000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 30_000) + entries + bytes(2_000_000)
    with pytest.raises(DataError, match="its TIFF directory cannot be read"), open_picture(io.BytesIO(data), name="x"):
        pass


@pytest.mark.parametrize("packing", PACKINGS)
def test_one_that_is_cut_is_refused(packing: str | None) -> None:
    data = tiff(SMOOTH, packing)
    # Pillow writes the pixels behind the directory or before it: in both cases the end matters.
    for cut in (data[: len(data) // 2], data[:-2000] if packing is None else data[:-300]):
        with pytest.raises(DataError):
            decode_image(cut)
