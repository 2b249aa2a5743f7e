"""Folders of IDX files, and loading by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from idx_files import write_idx

from toolkit.data import load_dataset
from toolkit.data.formats.idx_sets import load_idx_folder
from toolkit.errors import DataError, UsageError

USUAL = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TUTORIAL = ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte")
TEST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "test-images-idx3-ubyte", "test-labels-idx1-ubyte")


def fill(
    folder: Path,
    *,
    names: tuple[str, ...] = USUAL,
    compress: bool = False,
    train_labels: tuple[int, ...] = (0, 1, 2),
    test_labels: tuple[int, ...] = (2, 0),
    shape: tuple[int, ...] = (4, 5),
    train_images: int = 3,
) -> Path:
    folder.mkdir(exist_ok=True)
    arrays = (
        np.full((train_images, *shape), 7),
        np.array(train_labels),
        np.full((len(test_labels), *shape), 9),
        np.array(test_labels),
    )
    for name, array in zip(names, arrays, strict=True):
        write_idx(folder / (name + ".gz" * compress), array.astype(np.uint8), compress=compress)
    return folder


@pytest.mark.parametrize("names", [USUAL, TUTORIAL, TEST])
@pytest.mark.parametrize("compress", [False, True])
def test_usual_and_tutorial_names_are_found(tmp_path: Path, names: tuple[str, ...], compress: bool) -> None:
    dataset = load_idx_folder(fill(tmp_path / "mine", names=names, compress=compress))
    assert (dataset.name, dataset.classes, dataset.polarity, dataset.fit) == ("mine", ("0", "1", "2"), "any", "stretch")
    assert (dataset.height, dataset.width, dataset.channels) == (4, 5, 1)
    assert dataset.train.labels.dtype == np.int64
    assert dataset.train.labels.tolist() == [0, 1, 2]
    assert dataset.test.images[0, 0, 0] == 9


def test_name_ending_does_not_decide_about_gzip(tmp_path: Path) -> None:
    fill(tmp_path, compress=True)
    for path in tmp_path.glob("*.gz"):
        path.rename(path.with_suffix(""))
    assert len(load_idx_folder(tmp_path).train) == 3


def test_colour_images_of_rank_four_are_loaded(tmp_path: Path) -> None:
    assert load_idx_folder(fill(tmp_path, shape=(4, 5, 3))).channels == 3


def test_missing_files_are_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / USUAL[1]).unlink()
    (tmp_path / USUAL[2]).unlink()
    with pytest.raises(DataError) as caught:
        load_idx_folder(tmp_path)
    assert "train labels (train-labels-idx1-ubyte), test images (t10k-images-idx3-ubyte)" in str(caught.value)
    assert "train images" not in str(caught.value)


def test_counts_that_differ_name_the_files_and_the_first_lonely_index(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images.*train-labels.*4 images but 3 labels: image 3"):
        load_idx_folder(fill(tmp_path, train_images=4))
    with pytest.raises(DataError, match="2 images but 3 labels: label 2"):
        load_idx_folder(fill(tmp_path, train_images=2))


def test_test_label_outside_the_training_classes_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"label 7 of test image 1 is outside the classes 0 to 2"):
        load_idx_folder(fill(tmp_path, test_labels=(0, 7, 8)))


def test_empty_training_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        load_idx_folder(fill(tmp_path, train_labels=(), train_images=0))


def test_labels_file_in_place_of_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / USUAL[1]).replace(tmp_path / USUAL[0])
    write_idx(tmp_path / USUAL[1], np.zeros(3, dtype=np.uint8))
    with pytest.raises(DataError, match="rank 1; expected 3 or 4"):
        load_idx_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_fifo_under_a_wanted_name_does_not_hang(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / USUAL[0]).unlink()
    os.mkfifo(tmp_path / USUAL[0])
    with pytest.raises(DataError, match="not a regular file"):
        load_idx_folder(tmp_path)


def test_load_dataset_takes_a_folder(tmp_path: Path) -> None:
    assert load_dataset(str(fill(tmp_path / "letters"))).name == "letters"


@pytest.mark.parametrize(
    ("name", "hint"), [("mnits", "did you mean 'mnist'"), ("mnist-mni", "did you mean 'mnist-mini'")]
)
def test_unknown_name_suggests_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        load_dataset(name)


def test_file_that_is_no_data_set_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file is empty \(0 bytes\); expected class folders"):
        load_dataset(str(tmp_path / "file"))
    with pytest.raises(UsageError, match="no data set, file or folder"):
        load_dataset(str(tmp_path / "another"))
