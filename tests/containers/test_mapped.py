"""Large arrays that lie plain in a file are mapped: the same numbers, refused for the same reasons, none copied."""

from __future__ import annotations

import mmap
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import write_idx

from toolkit.containers import mapped
from toolkit.data import load_dataset
from toolkit.data.formats.arrays import open_npz
from toolkit.data.formats.idx import read_idx
from toolkit.data.load import load_mini
from toolkit.errors import DataError

PARTS, LABELS = ("train", "test"), np.arange(300) % 10
IMAGES = np.arange(5 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Map arrays of any size."""
    monkeypatch.setattr(mapped, "MAPPED_BYTES", 1)


def is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array.obj if isinstance(array, memoryview) else array, mmap.mmap)


def test_idx_is_mapped_where_it_lies_plain(tmp_path: Path) -> None:
    for compress in (False, True):
        path = tmp_path / f"images{compress}"
        write_idx(path, IMAGES, compress=compress)
        found = read_idx(path)
        assert (is_mapped(found), np.array_equal(found, IMAGES)) == (not compress, True)


def test_what_is_written_into_a_mapped_array_stays_out_of_the_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    before = (tmp_path / "images").read_bytes()
    read_idx(tmp_path / "images")[:] = 0
    assert (tmp_path / "images").read_bytes() == before


@pytest.mark.parametrize(("size", "words"), [(-1, "is short: 3919 bytes"), (1, "has trailing bytes: 3921 bytes")])
def test_idx_of_another_length_is_refused_as_ever(tmp_path: Path, size: int, words: str) -> None:
    write_idx(tmp_path / "images", IMAGES)
    content = (tmp_path / "images").read_bytes()
    (tmp_path / "images").write_bytes(content[:size] if size < 0 else content + b"\0" * size)
    with pytest.raises(DataError, match=words):
        read_idx(tmp_path / "images")


@pytest.mark.parametrize("array", [IMAGES, np.asfortranarray(IMAGES), IMAGES.astype(">u2"), IMAGES / np.float32(2)])
def test_npz_is_mapped_where_it_is_not_packed(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", before=IMAGES[:1], array=array)
        with open_npz(tmp_path / "a.npz") as arrays:
            found = arrays.read("array")
        assert (found.dtype, is_mapped(found)) == (array.dtype, save is np.savez)
        assert np.array_equal(found, array)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells how a file is mapped")
def test_no_neighbours_are_read_with_a_picture_once_they_are_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    images = load_mini().train.images[:300]
    np.savez(path, **{f"{part}_images": images for part in PARTS}, **{f"{part}_labels": LABELS for part in PARTS})
    data = load_dataset(str(path))
    sections = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    flags = [section.rpartition("VmFlags:")[2].split() for section in sections if str(path) in section.split("\n")[0]]
    assert [("rr" in each) for each in flags] == [True, True], "rr: random read"
    assert is_mapped(data.train.stored)


def test_a_damaged_byte_is_seen_before_it_is_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", array=np.tile(IMAGES, (20, 1, 1)))  # more than is read at once
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with open_npz(tmp_path / "a.npz") as arrays, pytest.raises(DataError, match="CRC"):
        arrays.read("array")


def test_a_mapped_data_set_is_the_one_that_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mini = load_mini()
    parts = {"train": mini.train.take(np.arange(300)), "test": mini.test.take(np.arange(60))}
    arrays = {f"{part}_{kind}": getattr(split, kind) for part, split in parts.items() for kind in ("images", "labels")}
    np.savez(tmp_path / "a.npz", **arrays)
    folder = tmp_path / "idx"
    folder.mkdir()
    for part, split in parts.items():
        stem = {"train": "train", "test": "t10k"}[part]
        write_idx(folder / f"{stem}-images-idx3-ubyte", split.images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte", split.labels.astype(np.uint8))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    found = [load_dataset(str(tmp_path / name)) for name in ("a.npz", "idx", "b.zip")]
    assert [is_mapped(each.train.stored) for each in found] == [True, True, False]
    monkeypatch.undo()
    read = load_dataset(str(folder))
    assert not is_mapped(read.train.stored)
    assert {each.sha256 for each in found} == {read.sha256}
