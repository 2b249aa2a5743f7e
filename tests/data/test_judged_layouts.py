"""What a model is judged on: the test part of any layout, the whole of what has none, the held-out part of its own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS, Picture, Writer, make_pictures

from toolkit.card import InputSpec
from toolkit.data import Dataset, load_dataset
from toolkit.data.pictures import LabelledPictures, load_pictures

PICTURES = make_pictures(120, classes=4)
SPEC = InputSpec(height=16, width=16, channels=1, fit="stretch")
STRANGER = {"sha256": "", "train_count": 5000, "test_count": 1000}


def trained_on(data: Dataset) -> dict[str, Any]:
    return {"sha256": data.sha256, "train_count": len(data.train) * 4 // 5, "test_count": len(data.test)}


def judge(path: Path, trained: dict[str, Any], notes: list[str] | None = None) -> LabelledPictures:
    on_note = [].append if notes is None else notes.append
    return load_pictures(str(path), trained_on=trained, size=(16, 16), on_note=on_note)


def content(pictures: LabelledPictures) -> list[tuple[str, bytes]]:
    images, _ = pictures.prepare(SPEC)
    return sorted(
        (pictures.classes[label], image.tobytes()) for label, image in zip(pictures.labels, images, strict=True)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_test_part_is_judged_and_own_data_are_recognised(tmp_path: Path, layout: str) -> None:
    path = LAYOUTS[layout](Writer(PICTURES, seed=3), tmp_path / "own")
    expected = sorted((str(each.label), each.pixels.tobytes()) for each in PICTURES if each.part == "test")
    stranger = judge(path, STRANGER)
    assert (content(stranger), stranger.sha256) == (expected, "")
    data = load_dataset(str(path))
    own = judge(path, trained_on(data))
    assert (content(own), own.sha256) == (expected, data.sha256)


def without_test(pictures: list[Picture]) -> list[Picture]:
    return [each._replace(part="train") for each in pictures]


@pytest.mark.parametrize("layout", ["folders", "zip", "tar", "csv", "parquet"])
def test_what_has_no_test_part_is_judged_whole_or_as_it_was_held_out(tmp_path: Path, layout: str) -> None:
    writer = Writer(without_test(PICTURES), seed=3)
    writer.arrays = lambda part: _arrays(writer.pictures, part)  # type: ignore[method-assign]
    path = LAYOUTS[layout](writer, tmp_path / "own")
    for table in [*tmp_path.rglob("*_test.csv"), *tmp_path.rglob("test-*.parquet")]:
        table.unlink()
    notes: list[str] = []
    everything = sorted((str(each.label), each.pixels.tobytes()) for each in PICTURES)
    assert content(judge(path, STRANGER | {"train_count": 50, "test_count": 20}, notes)) == everything
    assert f"{path} has no test part: all of its 120 images are judged" in notes
    data = load_dataset(str(path))
    notes.clear()
    own = judge(path, trained_on(data), notes)
    assert own.sha256 == data.sha256
    assert len(own.labels) == len(data.test) == 20
    assert f"{path} is what the model was trained on: the 20 images held out are judged" in notes


def _arrays(pictures: list[Picture], part: str) -> tuple[np.ndarray, np.ndarray]:
    chosen = [each for each in pictures if each.part == part] or pictures[:1]
    return np.stack([each.pixels for each in chosen]), np.array([each.label for each in chosen], np.uint8)


def test_a_single_class_or_picture_can_be_judged(tmp_path: Path) -> None:
    only = [each for each in without_test(PICTURES) if each.label == 2]
    for layout in ("folders", "zip"):
        path = LAYOUTS[layout](Writer(only, seed=0), tmp_path / layout)
        pictures = judge(path, STRANGER)
        assert (pictures.classes, len(pictures.labels)) == (("2",), 30)
