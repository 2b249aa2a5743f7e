"""IDX files under other names: prefixes, several data sets, folders below, EMNIST's mapping, labels from 1."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from layouts import Picture, Writer, make_pictures

from toolkit.data import load_dataset
from toolkit.errors import DataError

PICTURES = make_pictures(60, classes=3)
MAPPING = "0 97\n1 66\n2 48\n"


def write_emnist(folder: Path, name: str, pictures: list[Picture] = PICTURES) -> Path:
    made = Writer(pictures, seed=1).idx(folder / f"made-{name}", prefix=f"emnist-{name}-", test="test")
    for path in made.iterdir():
        shutil.move(path, folder)
    made.rmdir()
    return folder


def test_several_data_sets_in_one_folder_are_listed_and_one_is_named_by_its_file(tmp_path: Path) -> None:
    write_emnist(write_emnist(tmp_path, "letters"), "digits")
    with pytest.raises(DataError, match=r"holds 2 data sets as IDX files; name a file of one") as caught:
        load_dataset(str(tmp_path))
    named = [part.strip() for part in str(caught.value).partition("such as ")[2].split(",")]
    assert [load_dataset(name).name for name in named] == ["emnist-digits", "emnist-letters"]


def test_several_data_sets_below_a_root_are_listed(tmp_path: Path) -> None:
    for name in ("MNIST", "KMNIST"):
        Writer(PICTURES, seed=1).idx(tmp_path / name / "raw")
    with pytest.raises(DataError, match="holds 2 data sets as IDX files"):
        load_dataset(str(tmp_path))
    assert load_dataset(str(tmp_path / "MNIST")).sha256 == load_dataset(str(tmp_path / "KMNIST" / "raw")).sha256


def test_a_mapping_names_the_classes_and_turns_the_pictures_upright(tmp_path: Path) -> None:
    plain = load_dataset(str(write_emnist(tmp_path, "digits")))
    (tmp_path / "emnist-digits-mapping.txt").write_text(MAPPING)
    notes: list[str] = []
    turned = load_dataset(str(tmp_path), on_note=notes.append)
    assert (plain.has_names, turned.has_names, turned.classes) == (False, True, ("a", "B", "0"))
    upright = {image.T.tobytes() for image in plain.train.images}
    assert {image.tobytes() for image in turned.train.images} == upright
    assert ["turned upright and named by emnist-digits-mapping.txt" in note for note in notes] == [True]


def test_labels_from_1_with_a_mapping(tmp_path: Path) -> None:
    write_emnist(tmp_path, "letters", [each._replace(label=each.label + 1) for each in PICTURES])
    assert load_dataset(str(tmp_path)).classes == ("1", "2", "3")
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    notes: list[str] = []
    assert load_dataset(str(tmp_path), on_note=notes.append).classes == ("A", "B", "C")
    assert not [note for note in notes if "no class 0" in note]


@pytest.mark.parametrize(("text", "message"), [("0 97\n", "no character for label 1"), ("a b\n", "maps no labels")])
def test_a_mapping_that_does_not_fit_is_named(tmp_path: Path, text: str, message: str) -> None:
    write_emnist(tmp_path, "digits")
    (tmp_path / "emnist-digits-mapping.txt").write_text(text)
    with pytest.raises(DataError, match=rf"emnist-digits-mapping.txt .*{message}|{message}"):
        load_dataset(str(tmp_path))


def test_a_gap_in_the_labels_stays_a_class_without_pictures(tmp_path: Path) -> None:
    pictures = [each._replace(label=(2, 5, 6)[each.label]) for each in PICTURES]
    dataset = load_dataset(str(Writer(pictures, seed=1).idx(tmp_path / "own")))
    assert dataset.classes == ("2", "3", "4", "5", "6")
    assert dataset.empty_classes == ("3", "4")


def test_missing_files_of_a_prefixed_set_are_named(tmp_path: Path) -> None:
    write_emnist(tmp_path, "digits")
    (tmp_path / "emnist-digits-test-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"lacks test labels \(t10k-labels-idx1-ubyte\)"):
        load_dataset(str(tmp_path))


def test_a_lonely_idx_file_is_told(tmp_path: Path) -> None:
    write_emnist(tmp_path, "digits")
    path = tmp_path / "pictures.idx"
    shutil.move(tmp_path / "emnist-digits-train-images-idx3-ubyte", path)
    with pytest.raises(DataError, match="is one array, without labels"):
        load_dataset(str(path))


def test_pictures_that_are_not_square_have_no_mapping(tmp_path: Path) -> None:
    wide = [each._replace(pixels=np.pad(each.pixels, ((0, 0), (0, 4)))) for each in PICTURES]
    write_emnist(tmp_path, "digits", wide)
    (tmp_path / "emnist-digits-mapping.txt").write_text(MAPPING)
    with pytest.raises(DataError, match="16x20 cannot be EMNIST's; expected squares"):
        load_dataset(str(tmp_path))
