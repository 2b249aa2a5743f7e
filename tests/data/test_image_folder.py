"""Folders with one sub-folder of images a class: layouts, order, kinds of pixels, and everything that can be wrong."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_folders import load_image_folder, open_image_folder
from imaging_samples import encode, oversized_png
from PIL import Image

from toolkit.card import InputSpec
from toolkit.data import Dataset, load_dataset
from toolkit.data.load import is_public
from toolkit.data.split import hold_out, spread_classes
from toolkit.errors import DataError, UsageError
from toolkit.imaging.decode import decode_image
from toolkit.imaging.prepare import prepare_image

SHAPE = (16, 20)


def save(path: Path, value: int = 0, *, shape: tuple[int, ...] = SHAPE, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(np.full(shape, value, np.uint8), kind))
    return path


def fill(folder: Path, counts: dict[str, int], *, shape: tuple[int, ...] = SHAPE) -> Path:
    """Save `counts` images under each class; a pixel's value tells the image, its tens the class."""
    for number, (name, count) in enumerate(counts.items()):
        for index in range(count):
            save(folder / name / f"{index}.png", 10 * number + index, shape=shape)
    return folder


def values_of(dataset: Dataset) -> tuple[list[int], list[int]]:
    """Return the first pixel of every training and every test image."""
    return tuple([int(image.flat[0]) for image in part.images] for part in (dataset.train, dataset.test))  # type: ignore[return-value]


def test_split_folders_become_splits_with_the_folders_names_as_classes(tmp_path: Path) -> None:
    fill(tmp_path / "pets" / "train", {"dog": 3, "cat": 2})
    fill(tmp_path / "pets" / "test", {"dog": 1, "cat": 1})
    dataset = load_dataset(str(tmp_path / "pets"))
    assert (dataset.name, dataset.classes, dataset.licence) == ("pets", ("cat", "dog"), "unknown")
    assert (dataset.polarity, dataset.fit, dataset.channels) == ("any", "stretch", 1)
    assert dataset.train.images.shape == (5, *SHAPE)
    assert dataset.test.images.shape == (2, *SHAPE)
    assert sorted(zip(dataset.train.labels.tolist(), values_of(dataset)[0], strict=True)) == [
        (0, 10), (0, 11), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip


def test_without_splits_a_sixth_of_each_class_is_held_out(tmp_path: Path) -> None:
    notes: list[str] = []
    dataset = load_image_folder(fill(tmp_path, {"a": 12, "b": 7, "c": 2}), on_note=notes.append)
    assert Counter(dataset.test.labels.tolist()) == {0: 2, 1: 1, 2: 1}
    assert Counter(dataset.train.labels.tolist()) == {0: 10, 1: 6, 2: 1}
    train, test = values_of(dataset)
    assert sorted(train + test) == sorted([*range(12), *range(10, 17), 20, 21])
    assert notes == [f"{tmp_path.name}: no test part: 4 images, a sixth of each class, are held out as one"]


def test_only_a_train_part_has_its_test_split_held_out(tmp_path: Path) -> None:
    dataset = load_image_folder(fill(tmp_path / "train", {"a": 6, "b": 6}).parent)
    assert (len(dataset.train), len(dataset.test)) == (10, 2)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_validation_part_is_the_test_split_where_there_is_no_other(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / name, {"a": 1, "b": 1})
    notes: list[str] = []
    assert len(load_image_folder(tmp_path, on_note=notes.append).test) == 2
    assert notes == [f"{tmp_path}: no test part: its validation part is taken as the test split"]


def test_validation_part_beside_a_test_part_stands_last_in_training(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 8, "b": 8})
    save(tmp_path / "val" / "a" / "0.png", 100)
    save(tmp_path / "val" / "b" / "0.png", 101)
    fill(tmp_path / "test", {"a": 1, "b": 1})
    dataset = load_image_folder(tmp_path)
    train, _ = values_of(dataset)
    assert sorted(train[-2:]) == [100, 101]
    assert len(train) == 18


def test_class_called_train_stays_a_class(tmp_path: Path) -> None:
    assert load_image_folder(fill(tmp_path, {"train": 2, "car": 2})).classes == ("car", "train")


def test_end_of_training_images_mixes_the_classes(tmp_path: Path) -> None:
    dataset = load_image_folder(fill(tmp_path, {"a": 30, "b": 30, "c": 15}))
    _, validation = hold_out(dataset.train, len(dataset.train) // 5)
    counts = Counter(validation.labels.tolist())
    assert set(counts) == {0, 1, 2}
    assert abs(counts[0] - counts[1]) <= 1
    assert abs(counts[0] - 2 * counts[2]) <= 2


def test_order_of_the_file_system_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"b": 9, "a": 7})
    before = load_image_folder(tmp_path).sha256
    from toolkit.data.formats import tree

    monkeypatch.setattr(tree, "sorted", lambda entries, **_: list(entries)[::-1], raising=False)
    assert load_image_folder(tmp_path).sha256 == before


def test_order_is_the_same_everywhere() -> None:
    """Frozen: another order would be another data set to every run and card that records its hash."""
    assert spread_classes(np.array([0, 0, 0, 0, 1, 1, 2])).tolist() == [0, 4, 1, 6, 2, 5, 3]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_spreading_loses_no_image_and_keeps_every_stretch_mixed(values: list[int]) -> None:
    labels = np.array(values, dtype=np.int64)
    order = spread_classes(labels)
    assert sorted(order.tolist()) == list(range(len(labels)))
    for label in set(values):
        places = np.cumsum(labels[order] == label)
        share = (labels == label).mean() * np.arange(1, len(labels) + 1)
        assert np.abs(places - share).max() <= len(set(values))


def test_one_coloured_image_makes_all_of_them_rgb(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3, "b": 3})
    Image.new("RGB", (20, 16), (200, 100, 50)).save(tmp_path / "a" / "red.png")
    dataset = load_image_folder(tmp_path)
    assert dataset.channels == 3
    images = np.concatenate([dataset.train.images, dataset.test.images])
    coloured = images[(images[..., 0] != images[..., 1]).any(axis=(1, 2))]
    assert coloured.shape[0] == 1
    assert coloured[0, 0, 0].tolist() == [200, 100, 50]


def test_sixteen_bit_grey_keeps_its_upper_byte(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    for path in tmp_path.rglob("*.png"):
        Image.fromarray(np.full(SHAPE, 0xF234, np.uint16)).save(path)
    dataset = load_image_folder(tmp_path)
    assert dataset.channels == 1
    assert set(dataset.train.images.ravel().tolist()) == {0xF2}


def test_quarter_turn_by_exif_counts_for_the_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        for index in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("L", (20, 16)).save(tmp_path / name / f"{index}.jpg", exif=exif)
    assert load_image_folder(tmp_path).train.images.shape[1:] == (20, 16)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_every_allowed_format_is_read(tmp_path: Path, kind: str) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    save(tmp_path / "a" / f"x.{kind.lower()}", 200, kind=kind)
    assert len(load_image_folder(tmp_path).train) == 3


def test_other_size_names_the_file_and_the_option(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3, "b": 3})
    odd = save(tmp_path / "b" / "odd.png", shape=(17, 20))
    with pytest.raises(DataError) as caught:
        load_image_folder(tmp_path)
    assert f"{odd} is 17 high and 20 wide; expected 16 high and 20 wide" in str(caught.value)
    assert "--size 16x20" in str(caught.value)


@pytest.mark.parametrize(("shape", "mend"), [((15, 20), "16x20"), ((130, 129), "128x127")])
def test_size_outside_the_range_is_refused(tmp_path: Path, shape: tuple[int, int], mend: str) -> None:
    fill(tmp_path, {"a": 2, "b": 2}, shape=shape)
    with pytest.raises(DataError, match=f"16 to 128 pixels a side.*--size {mend}"):
        load_image_folder(tmp_path)


def test_size_option_resizes_as_a_prediction_would(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fill(tmp_path, {"a": 1, "b": 1})
    for path, shape in (("a/x.png", (40, 31)), ("b/x.png", (300, 200))):
        (tmp_path / path).write_bytes(encode(rng.integers(0, 256, shape, dtype=np.uint8)))
    dataset = load_dataset(str(tmp_path), size=(32, 24))
    spec = InputSpec(height=32, width=24, channels=1)
    expected = {prepare_image(decode_image(path).pixels, spec)[0].tobytes() for path in tmp_path.rglob("*.png")}
    assert {image.tobytes() for part in (dataset.train, dataset.test) for image in part.images} == expected


@pytest.mark.parametrize("size", [(15, 28), (28, 129), (0, 0)])
def test_size_option_out_of_range_is_a_usage_error(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="16 to 128"):
        load_dataset(str(tmp_path), size=size)


def test_catalogue_data_cannot_be_resized() -> None:
    with pytest.raises(UsageError, match="own size"):
        load_dataset("mnist-mini", size=(32, 32))


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def damage_text(path: Path) -> None:
    path.write_text("no image")


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_huge(path: Path) -> None:
    path.write_bytes(oversized_png(65_535, 65_535))


def damage_broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere.png")


def damage_link_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def damage_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
@pytest.mark.parametrize(
    "damage",
    [
        damage_cut, damage_text, damage_empty, damage_huge, damage_broken_link, damage_link_loop, damage_fifo,
        damage_folder,
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [None, (16, 16)])
def test_unusable_image_is_an_error_that_names_it(tmp_path: Path, damage: Any, size: Any) -> None:
    fill(tmp_path, {"a": 3, "b": 3})
    damage(tmp_path / "b" / "1.png")
    with pytest.raises(DataError, match=r"b[/\\]1\.png"):
        load_image_folder(tmp_path, size=size)


@pytest.mark.parametrize("deep", [False, True])
def test_unusable_images_are_told_together_in_a_pass_of_headers_and_one_of_pixels(
    tmp_path: Path, *, deep: bool
) -> None:
    pixels = np.full((16, 16), 7, np.uint16 if deep else np.uint8)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        (tmp_path / f"{name}-cut.png").write_bytes(path.read_bytes()[:-20])
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "b" / "text.jpg").write_text("hello")
    cuts = "; ".join(rf"\S*{name}-cut\.png is damaged: [^;]*" for name in ("a/0", "a/1", "b/0", "b/1"))
    # Of 16-bit grey the depth is looked at with the headers: it takes pixels.
    headers = r"^2 pictures cannot be used: \S*a/empty\.jpg is empty \(0 bytes\); \S*b/text\.jpg[^;]*; remove them"
    with pytest.raises(DataError, match="^6 pictures cannot be used: .*; 1 more; remove" if deep else headers):
        load_image_folder(tmp_path)
    (tmp_path / "a" / "empty.jpg").unlink()
    (tmp_path / "b" / "text.jpg").unlink()
    with pytest.raises(DataError, match=f"^4 pictures cannot be used: {cuts}; remove them"):
        load_image_folder(tmp_path)


def test_other_files_are_left_out_and_counted(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / "test", {"a": 1, "b": 1})
    for name in ("notes.txt", ".hidden.png", "Thumbs.db"):
        (tmp_path / "train" / "a" / name).write_text("x")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    notes: list[str] = []
    assert len(load_image_folder(tmp_path, on_note=notes.append).train) == 4
    assert notes == [f"{tmp_path}: left out 3 files of other names"]


def test_file_names_may_hold_anything(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    save(tmp_path / "a" / "line\nbreak.png", 7)
    (tmp_path / "a" / os.fsdecode(b"\xff.PNG")).write_bytes((tmp_path / "a" / "0.png").read_bytes())
    assert len(load_image_folder(tmp_path).train) + 2 == 6


@pytest.mark.parametrize("name", ["line\nbreak", os.fsdecode(b"\xff")])
def test_class_name_that_cannot_be_printed_is_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path, {"a": 2, name: 2})
    with pytest.raises(DataError, match="rename it") as caught:
        load_image_folder(tmp_path)
    str(caught.value).encode()


def test_empty_class_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match=r"no picture of the class c; add some, or remove the folder"):
        load_image_folder(tmp_path)


def test_single_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has pictures of one class, a; expected at least 2 classes"):
        load_image_folder(fill(tmp_path, {"a": 4}))


def test_folders_too_deep_are_no_single_class(tmp_path: Path) -> None:
    fill(tmp_path / "1" / "2" / "3" / "4", {"a": 4, "b": 4})
    with pytest.raises(DataError, match=r"1/2/3 has nothing but 4, a folder of folders: they lie too deep; expected"):
        load_image_folder(tmp_path)


def test_test_class_without_training_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / "test", {"a": 1, "c": 1})
    with pytest.raises(
        DataError, match="c has no class of this name among the training images: a, b; rename it, or move"
    ):
        load_image_folder(tmp_path)


def test_folder_beside_the_splits_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / "unlabelled", {"a": 1})
    with pytest.raises(DataError, match="unlabelled stands beside the folder train"):
        load_image_folder(tmp_path)


def test_parts_are_told_in_any_case_and_a_folder_inside_a_class_is_refused_with_the_layouts(tmp_path: Path) -> None:
    fill(tmp_path / "Train", {"a": 2, "b": 2})
    fill(tmp_path / "Test", {"a": 2, "b": 2})
    assert len(load_image_folder(tmp_path).test) == 4
    fill(tmp_path / "Train" / "a" / "deeper", {"c": 1})
    with pytest.raises(DataError, match=r"folder inside a class; expected train/<class>"):
        load_image_folder(tmp_path)


def test_class_folder_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "c").symlink_to(tmp_path)
    with pytest.raises(DataError, match="folder inside a class"):
        load_image_folder(tmp_path)


def test_more_pixels_than_the_cap_are_refused_before_any_is_decoded(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3, "b": 3})
    damage_cut(tmp_path / "a" / "0.png")
    with pytest.raises(DataError, match="6 images need 1920 bytes; the cap is 1919"):
        open_image_folder(tmp_path).gather(max_bytes=1919)


def test_folder_without_any_data_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is empty; expected class folders.*IDX.*NPZ.*CSV.*Parquet"):
        load_dataset(str(tmp_path))


def test_users_images_are_never_public(tmp_path: Path) -> None:
    assert not is_public(load_dataset(str(fill(tmp_path / "mnist", {"0": 3, "1": 3}))))


def test_progress_ends_at_all_bytes(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    load_image_folder(fill(tmp_path, {"a": 2, "b": 2}), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (4 * 320, 4 * 320)
    assert len(calls) == 4


def test_many_files_are_found_without_opening_any(tmp_path: Path) -> None:
    """FAULTS 15, with fewer files: they are empty, so opening one would be an error."""
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(1_000):
            (tmp_path / name / f"{index}.png").touch()
    assert len(open_image_folder(tmp_path).files.train.places) == 2_000


def notes_of(folder: Path) -> list[str]:
    notes: list[str] = []
    load_image_folder(folder, on_note=notes.append)
    return notes


@pytest.mark.parametrize("part", ["test", "Testing", "val"])
def test_unlabelled_pictures_of_a_part_are_said_with_the_step(tmp_path: Path, part: str) -> None:
    fill(tmp_path / "train", {"a": 6, "b": 6})
    for number in range(5):
        save(tmp_path / part / f"{number}.png")
    told, held_out = notes_of(tmp_path)
    assert told == (
        f"{tmp_path}/{part} holds 5 pictures without class folders, so without labels: left out; "
        f"toolkit predict MODEL {tmp_path}/{part} gives them labels"
    )
    assert "2 images, a sixth of each class, are held out" in held_out


def test_an_empty_test_folder_is_no_test_part(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 6, "b": 6})
    (tmp_path / "test").mkdir()
    assert ["held out" in note for note in notes_of(tmp_path)] == [True]


@pytest.mark.parametrize("parts", [("train", "test"), ("train",), ("Training", "validation")])
def test_training_pictures_without_class_folders_are_refused_with_the_step(
    tmp_path: Path, parts: tuple[str, ...]
) -> None:
    for part in parts:
        for number in range(5):
            save(tmp_path / part / f"{number}.png")
    with pytest.raises(DataError, match=r"holds 5 pictures without class folders.*put the pictures of each class"):
        load_image_folder(tmp_path)


def test_pictures_beside_the_class_folders_are_said_loudly(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 6, "b": 6})
    save(tmp_path / "train" / "loose.png")
    loud, _ = notes_of(tmp_path)
    assert loud == f"warning: loose pictures in {tmp_path}/train itself, in no class's folder, are left out: 1"


def test_formats_that_are_not_read_are_counted_loudly(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 6, "b": 6})
    for number in range(36):
        (tmp_path / "a" / f"IMG_{number}.HEIC").write_bytes(b"x")
    loud, _ = notes_of(tmp_path)
    assert loud.startswith(f"warning: {tmp_path}: left out 36 HEIC; convert HEIC")


def test_loose_pictures_are_refused_with_both_steps(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match=r"holds 4 pictures and no class folders.*toolkit predict MODEL"):
        load_image_folder(tmp_path)


@pytest.mark.parametrize("around", ["", "data", "data/pets/images"])
def test_folders_around_the_classes_are_seen_through(tmp_path: Path, around: str) -> None:
    fill(tmp_path / "plain", {"a": 6, "b": 6})
    fill(tmp_path / "own" / around, {"a": 6, "b": 6})
    dataset = load_image_folder(tmp_path / "own")
    assert (dataset.name, dataset.sha256) == ("own", load_image_folder(tmp_path / "plain").sha256)


def test_classes_deeper_down_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "1" / "2" / "3" / "4" / "train", {"a": 6, "b": 6})
    with pytest.raises(DataError, match=r"name the folder that holds the classes, such as .*1/2/3/4;"):
        load_image_folder(tmp_path)


def test_a_class_of_one_picture_is_learnt_and_not_tested(tmp_path: Path) -> None:
    dataset = load_image_folder(fill(tmp_path, {"a": 6, "b": 6, "c": 1}))
    assert Counter(dataset.test.labels.tolist()) == {0: 1, 1: 1}
    assert dataset.describe_gaps() == ["1 of 3 classes (c) has no test image: the accuracy says nothing of them"]


def test_a_thousand_classes_are_the_most(tmp_path: Path) -> None:
    for number in range(1001):
        save(tmp_path / str(number) / "0.png")
        save(tmp_path / str(number) / "1.png", 9)
    with pytest.raises(DataError, match="has 1,001 classes; the most is 1,000: leave some out"):
        load_image_folder(tmp_path)
    for path in (tmp_path / "0").iterdir():
        path.unlink()
    (tmp_path / "0").rmdir()
    assert load_image_folder(tmp_path).classes == tuple(map(str, range(1, 1001)))


@pytest.mark.parametrize("kind", ["TIFF", "PPM"])
def test_formats_of_scanners_are_read(tmp_path: Path, kind: str) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    save(tmp_path / "a" / f"x.{ {'TIFF': 'tif', 'PPM': 'pgm'}[kind] }", 200, kind=kind)
    assert len(load_image_folder(tmp_path).train) == 3
