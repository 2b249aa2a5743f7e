"""Numbers wider than bytes: 8, 10, 12, 14 or 16 bits by the largest of them, one depth for what belongs together."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_folders import load_image_folder
from imaging_samples import draw_seven, encode, png_chunk, png_of_chunks
from item_sources import npy_bytes, tar_member, write_tar
from PIL import Image
from predict_command import read_rows

from toolkit import Classifier
from toolkit.card import Card, InputSpec
from toolkit.data.formats.npz import load_npz
from toolkit.data.load import load_mini
from toolkit.errors import DataError, ModelError
from toolkit.imaging.decode import decode_image, decode_opened
from toolkit.imaging.pixel_values import Depth, to_pixels
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.run import run_prediction
from toolkit.prediction.sources import arrays
from toolkit.prediction.sources.items import ImageItem

SEVEN = draw_seven()
IMAGES = load_mini().test.images[:40]


def in_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Return 8-bit pixels as a scanner of `bits` bits writes them into 16: black is 0, white is the largest number."""
    return np.rint(pixels * (((1 << bits) - 1) / 255)).astype(np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_numbers_of_fewer_bits_are_told_by_the_largest(bits: int) -> None:
    deep = in_bits(SEVEN, bits)
    decoded = decode_image(encode(deep))
    assert decoded.notes == (f"16-bit grey whose values end at {deep.max():,}: taken for {bits}-bit",)
    assert np.abs(decoded.pixels.astype(int) - SEVEN).max() <= 1


@given(most=st.integers(1, 255), width=st.sampled_from([256, 257]))
def test_sixteen_bits_are_the_twin_of_eight_however_dark(most: int, width: int) -> None:
    """Widened by 257 they always are; by 256 where they reach the upper quarter."""
    pixels = (SEVEN.astype(int) * most // 255).astype(np.uint8)
    if width == 257 or pixels.max() > 63:
        decoded = decode_image(encode(pixels.astype(np.uint16) * width))
        assert np.array_equal(decoded.pixels, pixels)
        assert decoded.notes == ("16-bit grey scaled to 8 bits",)


@pytest.mark.parametrize(("mode", "kind"), [("I", np.int32), ("F", np.float32), ("I;16", "<u2"), ("I;16B", ">u2")])
def test_pil_images_of_bytes_in_wider_modes_are_those_bytes(mode: str, kind: str) -> None:
    image = Image.new(mode, SEVEN.shape[::-1])
    image.frombytes(SEVEN.astype(kind).tobytes())
    assert image.mode == mode
    assert np.array_equal(decode_opened(image, name="x").pixels, SEVEN)


@pytest.mark.parametrize(
    "mode",
    [
        "1",
        "L",
        "LA",
        "La",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "RGBa",
        "RGBX",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
        "I",
        "F",
        "I;16",
        "I;16B",
        "I;16L",
    ],
)
def test_pil_images_of_every_mode_have_their_flat_twins_answer(model_path: Path, mode: str) -> None:
    flat = Image.fromarray(np.where(SEVEN > 100, 255, 0).astype(np.uint8))
    through = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}
    if mode.startswith("I;16"):
        image = Image.new(mode, flat.size)
        image.frombytes((np.asarray(flat).astype(">u2" if mode[-1] == "B" else "<u2") * 257).tobytes())
    else:
        image = flat.convert(through.get(mode, mode)).convert(mode)
    assert image.mode == mode
    with Classifier(model_path) as classifier:
        expected, prediction = classifier.predict(flat), classifier.predict(image)
    assert prediction.labels == expected.labels
    assert prediction.probability == pytest.approx(expected.probability, abs=0.02)


@pytest.mark.parametrize(
    ("dtype", "bits"), [(np.uint16, 8), (np.int32, 10), (">u2", 12), (np.uint64, 14), (np.int64, 16), (np.int16, 12)]
)
def test_an_array_has_one_depth(model_path: Path, tmp_path: Path, dtype: str, bits: int) -> None:
    """Its darkest picture is read as its brightest is, by the library and from every kind of file."""
    dark = IMAGES.copy()
    dark[1:] //= 8
    deep = in_bits(dark, bits).astype(dtype)
    with Classifier(model_path) as classifier:
        expected = classifier.predict(dark)
        assert classifier.predict(deep).probabilities == pytest.approx(expected.probabilities, abs=0.05)
    np.save(tmp_path / "x.npy", deep)
    np.savez_compressed(tmp_path / "x.npz", a=deep)
    (tmp_path / "x.gz").write_bytes(gzip.compress(npy_bytes(deep), 1))
    write_tar(tmp_path / "x.tar", [tar_member("x.npy", npy_bytes(deep))])
    for name in ("x.npy", "x.npz", "x.gz", "x.tar"):
        output = tmp_path / f"{name}.csv"
        run_prediction(PredictionConfig(model=model_path, inputs=(tmp_path / name,), output=output))
        rows = read_rows(output)
        assert [row["label"] for row in rows] == list(expected.labels)
        said = "" if bits == 8 else f"{bits}-bit numbers scaled to 8 bits"
        assert all(row["message"].startswith(said) for row in rows)


def test_an_array_that_is_read_once_and_grows_deeper_is_refused_with_a_way_out(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "MAX_BLOCK_IMAGES", 20)
    deep = IMAGES.astype(np.uint16)
    deep[30:] *= 4
    write_tar(tmp_path / "x.tar", [tar_member("x.npy", npy_bytes(deep))])
    run_prediction(PredictionConfig(model=model_path, inputs=(tmp_path / "x.tar",), output=tmp_path / "o.csv"))
    rows = read_rows(tmp_path / "o.csv")
    assert [row["status"] for row in rows] == ["ok"] * 30 + ["error"] * 10
    assert "read once: take the array out of it" in rows[-1]["message"]


def test_numbers_that_are_no_pixels_are_refused(model_path: Path) -> None:
    with Classifier(model_path) as classifier:
        for given_, said in (
            (IMAGES.astype(np.int64) - 1, "from -1 to .*; give them as they were before anything was subtracted$"),
            (IMAGES.view(np.int8), r"subtracted; of bytes read as int8 values\.view\(numpy\.uint8\) makes them"),
            (IMAGES * 300.0, "from 0.0 to 76500.0; expected 0 to 255; scale them to that"),
            (IMAGES.astype(np.int64) * 300, r"0 to 65,535; keep their upper bits: values >> 1"),
        ):
            with pytest.raises(DataError, match=said):
                classifier.predict(given_)
        for values in (SEVEN.astype(np.int32) * 300, SEVEN.astype(np.int32) - 1):
            with pytest.raises(DataError, match="the image has values from"):
                classifier.predict(Image.fromarray(values))
        for values, said in (
            (SEVEN / 255, "between 0 and 1"),
            (SEVEN * 4.0, "expected 0 to 255"),
            (SEVEN + 0.5, "whole"),
        ):
            with pytest.raises(DataError, match=said):
                classifier.predict(Image.fromarray(values.astype(np.float32)))


def write_folder(folder: Path, pictures: np.ndarray) -> Path:
    for number, picture in enumerate(pictures):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:03}.png").write_bytes(encode(picture))
    return folder


def test_a_training_folder_has_one_depth_and_says_so_loudly(tmp_path: Path) -> None:
    """Pictures of one scanner, most of them dark: none of them gets brighter than the others."""
    pictures = IMAGES.copy()
    pictures[3:] //= 6
    deep = np.minimum(in_bits(pictures, 10), 700)
    notes: list[str] = []
    dataset = load_image_folder(write_folder(tmp_path / "deep", deep), on_note=notes.append)
    plain = load_image_folder(write_folder(tmp_path / "plain", (deep >> 2).astype(np.uint8)))
    assert np.array_equal(dataset.train.images, plain.train.images)
    assert np.array_equal(dataset.test.images, plain.test.images)
    assert dataset.bits == 10
    (said,) = (note for note in notes if "bit" in note)
    assert said.startswith("warning: 40 images of 16-bit grey, as ")
    assert said.endswith("values end at 700: taken for 10-bit, all alike")


def test_a_training_folder_of_sixteen_bits_is_told_nothing(tmp_path: Path) -> None:
    notes: list[str] = []
    pictures = IMAGES // 2
    dataset = load_image_folder(write_folder(tmp_path, pictures.astype(np.uint16) * 257), on_note=notes.append)
    assert set(np.unique(dataset.train.images)) <= set(np.unique(pictures))
    assert not [note for note in notes if "bit" in note]


def test_a_data_set_of_arrays_has_one_depth_in_all_its_parts(tmp_path: Path) -> None:
    labels, dark = np.arange(40) % 2, in_bits(IMAGES // 8, 12)
    bright = in_bits(IMAGES, 12)
    notes: list[str] = []
    np.savez(tmp_path / "x.npz", x_train=dark, y_train=labels, x_test=bright, y_test=labels)
    dataset = load_npz(tmp_path / "x.npz", on_note=notes.append)
    assert np.array_equal(dataset.test.images, bright >> 4)
    assert np.array_equal(dataset.train.images, dark >> 4)
    assert dataset.bits == 12
    assert "warning: x.npz: image values end at 4,095: taken for 12-bit, all alike" in notes


def test_a_model_of_deep_pictures_takes_a_dark_one_as_its_training_did(tmp_path: Path) -> None:
    """Alone, 900 of 4,095 would be taken for 10 bits: four times as bright."""
    dark = np.full((28, 28), 900, np.uint16)
    dark[::2] = 3
    assert decode_image(encode(dark)).pixels.max() == 225
    assert decode_image(encode(dark), bits=12).pixels.max() == 56
    assert decode_image(encode(in_bits(SEVEN, 14)), bits=12).pixels.max() == 255
    spec = InputSpec(height=28, width=28, channels=1, bits=12)
    (tmp_path / "x.png").write_bytes(encode(dark))
    block = prepare_items([ImageItem("x", 0, str(tmp_path / "x.png"))], Preparation(spec=spec))
    assert block.images.max() == 56


def test_the_card_tells_the_depth_only_where_it_is_not_eight(model_path: Path) -> None:
    with Classifier(model_path) as classifier:
        card = classifier.card
    assert "bits" not in json.loads(card.dumps())["input"]
    value = json.loads(card.dumps())
    value["input"]["bits"] = 12
    assert Card.loads(json.dumps(value)).input.known_bits == 12
    assert json.loads(Card.loads(json.dumps(value)).dumps())["input"]["bits"] == 12
    value["input"]["bits"] = 9
    with pytest.raises(ModelError, match="9 bits"):
        Card.loads(json.dumps(value))


def test_sixteen_bit_colour_that_pillow_would_blacken_is_refused() -> None:
    def colour_png(most: int) -> bytes:
        rows = b"".join(b"\0" + struct.pack(">12H", *range(most - 12, most)) for _ in range(4))
        header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
        return png_of_chunks(png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)))

    assert decode_image(colour_png(60_000)).pixels.max() == 59_999 >> 8
    with pytest.raises(DataError, match=r"16-bit colour whose values end under 4,096.*save it with 8 bits a channel"):
        decode_image(colour_png(4_000))


@given(values=st.lists(st.integers(0, 65_535), min_size=4, max_size=4))
def test_every_number_keeps_its_order_and_its_range(values: list[int]) -> None:
    array = np.array(values, np.uint16).reshape(2, 2)
    depth = Depth()
    depth.see(array)
    pixels, _ = to_pixels(array, bits=depth.bits())
    assert (np.argsort(array, axis=None, kind="stable") == np.argsort(pixels, axis=None, kind="stable")).all() or len(
        set(pixels.ravel())
    ) < len(set(values))
    assert pixels.max() >= 64 or array.max() < 256 or not (array % 257).any()
