"""Parquet files with pictures and labels, as Hugging Face keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import Picture, Writer, encode, make_pictures

from toolkit.data import load_dataset
from toolkit.errors import DataError, ResourceError

PICTURES = make_pictures(60, classes=3)


def write(path: Path, pictures: Sequence[Picture], labels: Any, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = [encode(each.pixels) for each in pictures]
    pq.write_table(pa.table({"image": image, "label": labels, **columns}), path, row_group_size=7)
    return path


def parts_of(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    return {part: [each for each in pictures if each.part == part] for part in ("train", "test")}


def test_a_single_file_has_its_test_part_held_out(tmp_path: Path) -> None:
    path = write(tmp_path / "own.parquet", PICTURES, [each.label for each in PICTURES])
    notes: list[str] = []
    dataset = load_dataset(str(path), on_note=notes.append)
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("own", 51, 9)
    assert notes == ["own: no test part: 9 images, a sixth of each class, are held out as one"]


@pytest.mark.parametrize("inner", ["", "data", "mnist"])
def test_shards_are_found_below_and_put_together(tmp_path: Path, inner: str) -> None:
    for part, pictures in parts_of(PICTURES).items():
        for number in range(3):
            name = f"{part}-{number:05}-of-00003-0123abcd.parquet"
            some = pictures[number::3]
            write(tmp_path / "hf" / inner / name, some, [each.label for each in some])
    expected = load_dataset(str(Writer(PICTURES, seed=0).folders(tmp_path / "folders"))).sha256
    assert load_dataset(str(tmp_path / "hf")).sha256 == expected


def test_text_labels_are_sorted_and_named_ones_keep_their_numbers(tmp_path: Path) -> None:
    words = [("zebra", "ant", "cat")[each.label] for each in PICTURES]
    assert load_dataset(str(write(tmp_path / "a.parquet", PICTURES, words))).classes == ("ant", "cat", "zebra")
    coded = pa.array(words).dictionary_encode()
    assert load_dataset(str(write(tmp_path / "b.parquet", PICTURES, coded))).classes == ("ant", "cat", "zebra")
    features = {"fine": {"_type": "ClassLabel", "names": ["zebra", "ant", "cat"]}, "image": {"_type": "Image"}}
    table = pa.table({"image": [encode(each.pixels) for each in PICTURES], "fine": [each.label for each in PICTURES]})
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(meta), tmp_path / "c.parquet")
    dataset = load_dataset(str(tmp_path / "c.parquet"))
    assert (dataset.classes, dataset.has_names) == (("zebra", "ant", "cat"), True)


def write_named(path: Path, labels: Sequence[Any], names: Sequence[str], *, pictures: Sequence[Picture]) -> None:
    write(path, pictures, labels)
    features = {"label": {"_type": "ClassLabel", "names": names}} if names else {}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pq.read_table(path).replace_schema_metadata(meta), path)


def test_texts_name_themselves_whatever_the_metadata_say(tmp_path: Path) -> None:
    words = [("zebra", "ant", "cat")[each.label] for each in PICTURES]
    write_named(tmp_path / "a.parquet", words, ["cat", "zebra", "ant"], pictures=PICTURES)
    dataset = load_dataset(str(tmp_path / "a.parquet"))
    write(tmp_path / "b" / "a.parquet", PICTURES, words)
    assert dataset.sha256 == load_dataset(str(tmp_path / "b" / "a.parquet")).sha256


def test_a_label_beyond_the_names_is_told_by_its_row(tmp_path: Path) -> None:
    write_named(tmp_path / "a.parquet", [0, 1, 0, 2, 1, 0], ["x", "y"], pictures=PICTURES[:6])
    with pytest.raises(
        DataError, match=r"row 4 of .*a\.parquet has the label 2; its metadata name the classes 0 to 1: x"
    ):
        load_dataset(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize("names", [["y", "x", "z"], []])
def test_files_that_name_classes_otherwise_are_refused(tmp_path: Path, names: list[str]) -> None:
    for part, given in (("train", ["x", "y", "z"]), ("test", names)):
        some = parts_of(PICTURES)[part]
        write_named(tmp_path / f"{part}.parquet", [each.label for each in some], given, pictures=some)
    with pytest.raises(DataError, match="expected the same names in the same order"):
        load_dataset(str(tmp_path))


def test_numbers_in_one_file_and_words_in_another_are_not_mixed_up(tmp_path: Path) -> None:
    parts = parts_of(PICTURES)
    write(tmp_path / "train.parquet", parts["train"], [("b", "c", "a")[each.label] for each in parts["train"]])
    write(tmp_path / "test.parquet", parts["test"], [each.label for each in parts["test"]])
    with pytest.raises(DataError, match="no training image is of 0, 1, 2; the classes are a, b, c"):
        load_dataset(str(tmp_path))


def test_a_test_part_without_labels_is_left_out(tmp_path: Path) -> None:
    parts = parts_of(PICTURES)
    write(tmp_path / "hf" / "train.parquet", parts["train"], [each.label for each in parts["train"]])
    write(tmp_path / "hf" / "test.parquet", parts["test"], [-1] * len(parts["test"]))
    notes: list[str] = []
    assert len(load_dataset(str(tmp_path / "hf"), on_note=notes.append).test) == 6
    assert "test.parquet holds no labels, so nothing can be judged by it" in notes[0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, None, *[1] * 58], "row 2 of .*own.parquet has no label"), ([0.5] * 60, "labels of double"),
        ([5000, *[0] * 59], "a label is 5000; expected 0 to 999"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_used_are_named(tmp_path: Path, labels: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(str(write(tmp_path / "own.parquet", PICTURES, labels)))


def test_tables_of_something_else_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "label": [0]}), tmp_path / "numbers.parquet")
    pq.write_table(pa.table({"image": [b"x"], "words": ["a"]}), tmp_path / "bare.parquet")
    pq.write_table(pa.table({"image": [b"x", None], "label": [0, 1]}), tmp_path / "gap.parquet")
    pq.write_table(pa.table({"image": [b"x", b"y"], "label": [0, 1]}), tmp_path / "junk.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + bytes(100))
    for name, message in {
        "numbers": "no column of binary values",
        "bare": "no column of labels among image, words; expected one called label",
        "gap": "row 1 of .*gap.parquet",
        "junk": "^2 pictures cannot be used: row 1 of .*junk.parquet: .*; row 2 of .*junk.parquet: ",
        "cut": "cannot be read as Parquet",
    }.items():
        with pytest.raises(DataError, match=message):
            load_dataset(str(tmp_path / f"{name}.parquet"))


def test_without_pyarrow_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "own.parquet", PICTURES, np.zeros(60, np.int64))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ResourceError, match=r"own.parquet cannot import pyarrow.parquet .*\[parquet\]"):
        load_dataset(str(path))
