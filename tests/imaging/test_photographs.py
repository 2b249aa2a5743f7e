"""Photographs as phones and careless programs leave them: metadata in ruins around whole pixels."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_folders import load_image_folder
from imaging_samples import draw_seven, encode, png_chunk
from PIL import Image, ImageFile, ImageOps

from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image, decode_opened, read_image_header
from toolkit.imaging.metadata import read_metadata

SEVEN = draw_seven()
BROKEN_EXIF = "damaged EXIF block, pixels whole"


def exif_block(*, orientation: int = 1, text: str = "a camera of some make") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = exif[0x0131] = text
    return exif.tobytes()


def behind_the_end(block: bytes) -> bytes:
    """Move the first value that lies outside its entry far behind the block's end."""
    place = block.index(struct.pack(">HH", 0x010F, 2)) + 8
    return block[:place] + struct.pack(">I", 1 << 20) + block[place + 4 :]


def jpeg(block: bytes | None = None, *, segments: bytes = b"", pixels: np.ndarray = SEVEN) -> bytes:
    data = encode(pixels, "JPEG", quality=95, **({} if block is None else {"exif": block}))
    return data[:2] + segments + data[2:]


BLOCKS = {
    "cut in a value": exif_block()[:-9],
    "cut in its entries": exif_block()[:40],
    "cut after its mark": exif_block()[:6] + b"II*\0",
    "an entry behind the end": behind_the_end(exif_block()),
    "no directory": b"Exif\0\0nonsense and more of it",
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_broken_exif_block_is_no_broken_picture(kind: str, block: bytes) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    whole = decode_image(encode(SEVEN, kind, **options))
    decoded = decode_image(encode(SEVEN, kind, exif=block, **options))
    assert decoded.notes == (BROKEN_EXIF, *whole.notes)
    assert np.array_equal(decoded.pixels, whole.pixels)


@pytest.mark.parametrize("break_it", [lambda block: block[:-9], behind_the_end])
def test_a_picture_is_turned_by_what_is_left_of_its_exif_block(break_it: object, tmp_path: Path) -> None:
    block = break_it(exif_block(orientation=6))  # type: ignore[operator]
    (tmp_path / "a.jpg").write_bytes(jpeg(block, pixels=SEVEN[:20]))
    decoded = decode_image(tmp_path / "a.jpg")
    assert decoded.notes == ("turned as its EXIF says", BROKEN_EXIF)
    assert decoded.pixels.shape == (28, 20)
    header = read_image_header(tmp_path / "a.jpg")
    assert (header.height, header.width) == (28, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_pillows(kind: str, orientation: int) -> None:
    data = encode(SEVEN[:20], kind, exif=exif_block(orientation=orientation))
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
    decoded = decode_image(data)
    assert np.array_equal(decoded.pixels, decode_image(encode(upright, "PNG")).pixels)
    assert (decoded.notes[:1] == ("turned as its EXIF says",)) == (orientation > 1)


def test_little_endian_blocks_and_xmp_tell_the_orientation_too() -> None:
    little = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 8, 0) + bytes(4)
    assert decode_image(jpeg(little)).notes == ("turned as its EXIF says",)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation='1' tiff:Orientation=\"3\"/>"
    segment = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    assert decode_image(jpeg(segments=segment)).notes == ("turned as its EXIF says",)


def two_pictures() -> tuple[bytes, int]:
    """Return a phone's file with two pictures, and where the second one begins."""
    data = encode(Image.fromarray(SEVEN), "MPO", save_all=True, append_images=[Image.fromarray(255 - SEVEN)])
    return data, data.index(b"\xff\xd8", 2)


def test_the_first_of_two_pictures_is_taken_though_the_second_is_cut_away() -> None:
    data, second = two_pictures()
    first = decode_image(encode(SEVEN, "JPEG")).pixels
    assert decode_image(data).notes == ()
    assert np.array_equal(decode_image(data).pixels, first)
    for cut in (data[:second], data[: second + 100]):
        decoded = decode_image(cut)
        assert decoded.notes == ("further picture cut off, first one taken",)
        assert np.array_equal(decoded.pixels, first)


def test_a_list_of_further_pictures_in_ruins_is_no_broken_picture() -> None:
    data, _ = two_pictures()
    place = data.index(b"MPF\0")
    for broken in (data[: place + 4] + b"????" + data[place + 8 :], jpeg() + b"\xff\xd8\xff\xe0 left over"):
        decoded = decode_image(broken)
        assert np.array_equal(decoded.pixels.shape, SEVEN.shape)
    assert decode_image(data[: place + 4] + b"????" + data[place + 8 :]).notes == (
        "damaged list of further pictures, first one taken",
    )


def test_a_png_whose_animation_says_nothing_is_a_still_picture() -> None:
    whole, split = encode(SEVEN), 8 + 25
    nothing, one = png_chunk(b"acTL", bytes(8)), png_chunk(b"acTL", b"\0\0\0\1" + bytes(4))
    for chunks in (nothing, one + one):
        data = whole[:split] + chunks + whole[split:]
        assert np.array_equal(decode_image(data).pixels, SEVEN)


def test_pixels_cut_off_stay_an_error_also_where_a_program_lets_pillow_fill_them_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP"):
        data = encode(noise, kind)
        with pytest.raises(DataError, match=r"x\.img is damaged"):
            decode_image(data[: len(data) * 3 // 4], name="x.img")


def test_a_programs_own_limit_of_pixels_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for kind in ("PNG", "JPEG", "BMP", "GIF"):
        assert decode_image(encode(SEVEN, kind, exif=exif_block())).pixels.shape[:2] == (28, 28)
    assert Image.MAX_IMAGE_PIXELS == 10


@given(place=st.integers(0, 200), value=st.integers(0, 255), cut=st.integers(0, 120))
def test_nothing_in_an_exif_block_raises_or_warns(place: int, value: int, cut: int) -> None:
    block = bytearray(exif_block(orientation=6))
    block[place % len(block)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_metadata({"exif": bytes(block[: len(block) - cut])})
        decode_image(jpeg(bytes(block[: max(1, len(block) - cut)])))


def test_opened_pictures_are_taken_like_their_files() -> None:
    image = Image.fromarray(SEVEN)
    image.info["exif"] = exif_block(orientation=3)[:-9]
    decoded = decode_opened(image, name="the image")
    assert decoded.notes == ("turned as its EXIF says", BROKEN_EXIF)
    assert np.array_equal(decoded.pixels, SEVEN[::-1, ::-1])
    assert np.array_equal(np.asarray(image), SEVEN)


def test_a_training_folder_takes_them_and_says_so(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        block = BLOCKS["cut in a value"] if number < 3 else exif_block()
        (folder / f"{number}.jpg").write_bytes(jpeg(block))
    notes: list[str] = []
    dataset = load_image_folder(tmp_path, on_note=notes.append)
    assert len(dataset.train) + len(dataset.test) == 6
    said = [note for note in notes if "EXIF" in note]
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path}: 3 images: {BROKEN_EXIF}; the first is ")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_large_picture_is_read_in_strips_to_the_same_bytes(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (97, 53, 3), dtype=np.uint8)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 11)
    if mode in {"LA", "RGBA"}:
        image.putalpha(Image.fromarray(rng.integers(0, 256, (97, 53), dtype=np.uint8)))
    whole = decode_opened(image, name="x")
    monkeypatch.setattr("toolkit.imaging.pixel_values.STRIP_PIXELS", 53 * 10)
    strips = decode_opened(image, name="x")
    assert np.array_equal(strips.pixels, whole.pixels)
    assert strips.notes == whole.notes


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_threads_keep_nothing_of_the_photographs_that_they_decoded(tmp_path: Path) -> None:
    Image.fromarray(SEVEN).convert("RGB").resize((8000, 6000)).save(tmp_path / "x.jpg")
    code = """
import sys, threading
from toolkit.imaging.decode import decode_image
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) // 256
def work():
    with lock:
        decode_image(sys.argv[1])
    done.wait()
lock, done = threading.Lock(), threading.Barrier(5)
decode_image(sys.argv[1])
before = resident_mb()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
while done.n_waiting < 4:
    pass
print(resident_mb() - before)
done.wait()
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.jpg"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300  # 800 where each keeps a picture


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most_mb"), [("JPEG", 600), ("PNG", 600), ("WEBP", 900), ("TIFF", 900), ("PPM", 900)])
def test_a_photograph_of_64_megapixels_is_prepared_within_memory(kind: str, most_mb: int, tmp_path: Path) -> None:
    small = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    options = {"WEBP": {"method": 0}, "PNG": {"compress_level": 1}}.get(kind, {})
    if kind in {"TIFF", "PPM"}:  # uncompressed, colours have more bytes than a file may have
        small = small[..., 0]
    Image.fromarray(small).resize((9248, 6944)).save(tmp_path / "x", kind, **options)
    code = """
import re, sys
from pathlib import Path
from toolkit.card import InputSpec
from toolkit.imaging.decode import decode_image
from toolkit.imaging.prepare import prepare_image
image, _ = prepare_image(decode_image(sys.argv[1]).pixels, InputSpec(height=28, width=28, channels=1, fit="stretch"))
# Not getrusage's: a child begins with the size of the process that started it.
print(image.shape, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(28, 28) ")
    assert int(done.stdout.split()[-1]) < most_mb
