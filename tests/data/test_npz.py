"""NPZ data sets: keys, shapes, values, and everything that can be wrong with the archive."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from idx_files import write_idx

from toolkit.data import load_dataset
from toolkit.data.catalog.entries import CATALOG, MNIST
from toolkit.data.formats.arrays import open_npz
from toolkit.data.formats.npz import load_npz
from toolkit.data.load import is_public
from toolkit.errors import DataError

MEDMNIST = ("train_images", "train_labels", "test_images", "test_labels")
KERAS = ("x_train", "y_train", "x_test", "y_test")
LABELS = np.array([0, 1, 0, 1, 2], np.uint8)


def make_arrays(keys: tuple[str, ...] = KERAS, *, shape: tuple[int, ...] = (4, 5)) -> dict[str, np.ndarray]:
    images = np.arange(5 * int(np.prod(shape))).reshape(5, *shape).astype(np.uint8)
    return dict(zip(keys, (images, LABELS, images[::-1][:2], np.array([2, 0], np.uint8)), strict=True))


def save(path: Path, **changes: Any) -> Path:
    """Save a good NPZ with Keras's keys, some arrays changed; None leaves one out."""
    arrays = make_arrays() | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize("keys", [MEDMNIST, KERAS])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_both_families_of_keys_are_read(tmp_path: Path, keys: tuple[str, ...], write: Any) -> None:
    arrays = make_arrays(keys)
    write(tmp_path / "toy.npz", **arrays)
    dataset = load_dataset(str(tmp_path / "toy.npz"))
    assert (dataset.name, dataset.classes) == ("toy", ("0", "1", "2"))
    assert (dataset.licence, dataset.polarity, dataset.fit) == ("unknown", "any", "stretch")
    raw = load_npz(tmp_path / "toy.npz")
    assert np.array_equal(raw.train.images, arrays[keys[0]])
    assert raw.train.labels.tolist() == LABELS.tolist()
    assert raw.test is not None
    assert np.array_equal(raw.test.images, arrays[keys[2]])


@given(
    images=hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))),
    order=st.sampled_from("CF"),
    compress=st.booleans(),
)
def test_arrays_come_back_as_they_were_saved(
    tmp_path_factory: pytest.TempPathFactory, images: np.ndarray, order: Any, compress: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    labels = np.zeros(len(images), np.int32)
    arrays = dict(zip(KERAS, (np.asarray(images, order=order), labels, images, labels), strict=True))
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    dataset = load_npz(path)
    assert np.array_equal(dataset.train.images, images)
    assert dataset.test is not None
    assert np.array_equal(dataset.test.images, images)


def test_labels_in_a_column_are_flattened(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", y_train=LABELS[:, np.newaxis], y_test=np.array([[1], [0]], np.int64))
    assert sorted(load_dataset(str(path)).test.labels.tolist()) == [0, 1]


def test_validation_images_stand_last_and_are_told(tmp_path: Path) -> None:
    arrays = make_arrays(MEDMNIST)
    validation = {"val_images": np.full((2, 4, 5), 200, np.uint8), "val_labels": np.array([[1], [0]])}
    np.savez(tmp_path / "x.npz", **arrays, **validation)
    notes: list[str] = []
    dataset = load_npz(tmp_path / "x.npz", on_note=notes.append)
    assert dataset.train.images[:, 0, 0].tolist()[-2:] == [200, 200]
    assert dataset.train.labels.tolist() == [*LABELS, 1, 0]
    assert notes == ["x: its 2 validation images stand last among the training images"]


@pytest.mark.parametrize("key", ["classes", "class_names"])
def test_class_names_are_read(tmp_path: Path, key: str) -> None:
    path = save(tmp_path / "x.npz", **{key: np.array(["cat", "dog", "Kuh"])})
    assert load_npz(path).classes == ("cat", "dog", "Kuh")


@pytest.mark.parametrize(
    "names",
    [np.array(["a", "b", "c"], object), np.array([1, 2, 3]), np.array("abc"), np.array(["a", "b", "a"]),
     np.array(["a", "b"]), np.array(["a", "b", "c\nd"]), np.array(["a", "b", ""])],
)  # fmt: skip
def test_class_names_that_cannot_be_used_are_refused(tmp_path: Path, names: np.ndarray) -> None:
    with pytest.raises(DataError):
        load_dataset(str(save(tmp_path / "x.npz", classes=names)))


@pytest.mark.parametrize("dtype", ["int64", ">i2", "float32", ">f8", "uint16"])
def test_whole_numbers_of_other_types_are_taken_without_loss(tmp_path: Path, dtype: str) -> None:
    images = make_arrays()["x_train"]
    assert np.array_equal(load_npz(save(tmp_path / "x.npz", x_train=images.astype(dtype))).train.images, images)


def test_bool_images_become_black_and_white(tmp_path: Path) -> None:
    images = make_arrays()["x_train"] > 50
    dataset = load_npz(save(tmp_path / "x.npz", x_train=images))
    assert np.array_equal(dataset.train.images, np.where(images, 255, 0))


def test_dark_image_among_floats_is_not_mistaken_for_the_unit_scale(tmp_path: Path) -> None:
    images = make_arrays()["x_train"].astype(np.float32)
    images[1] = 1
    assert load_npz(save(tmp_path / "x.npz", x_train=images)).train.images[1].max() == 1


def test_unit_scale_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x_train in .*multiply them by 255"):
        load_npz(save(tmp_path / "x.npz", x_train=make_arrays()["x_train"] / 255))


@pytest.mark.parametrize(
    ("bad", "said"), [(np.nan, "nan"), (np.inf, "inf"), (0.5, "0.5"), (256.0, "256"), (-1.0, "-1")]
)
def test_value_that_is_no_pixel_is_named_with_its_image(tmp_path: Path, bad: float, said: str) -> None:
    images = make_arrays()["x_train"].astype(np.float64)
    images[3, 1, 2] = bad
    with pytest.raises(DataError, match=rf"x_train in .*, image 3: .*{said}"):
        load_npz(save(tmp_path / "x.npz", x_train=images))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 5, 1), (4, 5)), ((1, 4, 5), (4, 5)), ((4, 5, 3), (4, 5, 3)), ((3, 4, 5), (4, 5, 3))],
)
def test_channels_are_put_where_they_belong(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    arrays = make_arrays(shape=shape)
    np.savez(tmp_path / "x.npz", **arrays)
    images = load_npz(tmp_path / "x.npz").train.images
    assert images.shape == (5, *expected)
    if shape == (3, 4, 5):
        assert np.array_equal(images[2, :, :, 1], arrays["x_train"][2, 1])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((5, 3, 4, 3), np.uint8), np.zeros((5, 9, 4, 5, 1), np.uint8), np.zeros((5, 20), np.uint8),
        np.zeros((5, 4, 5), complex), np.zeros((5, 4, 5), "U1"), np.zeros((5, 0, 5), np.uint8), np.zeros(5, np.uint8),
        np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4, 5), np.uint8), np.zeros((5, 9, 9), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)  # fmt: skip
def test_images_of_another_kind_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected|partner"):
        load_npz(save(tmp_path / "x.npz", x_train=images))


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype(np.float32), np.zeros((5, 14), np.uint8), np.array(list("abcde")), np.array([0, 1, 2, 3, -1]),
        np.array([0, 1, 2, 3, 2**62]), np.array([0, 1, 2, 3, 2**64 - 1], np.uint64), LABELS[:4], np.array(3),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)  # fmt: skip
def test_labels_of_another_kind_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(DataError):
        load_dataset(str(save(tmp_path / "x.npz", y_train=labels)))


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks x_test, y_test; it holds x_train, y_train"):
        load_npz(save(tmp_path / "x.npz", x_test=None, y_test=None))
    np.savez(tmp_path / "y.npz", a=np.zeros(1))
    with pytest.raises(DataError, match=r"holds a; expected train_images.* or x_train"):
        load_npz(tmp_path / "y.npz")


def test_object_array_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    with pytest.raises(DataError, match="Python objects"):
        load_npz(save(tmp_path / "x.npz", x_train=np.array([Evil()], object)))
    assert not (tmp_path / "executed").exists()


def npy(shape: str, body: bytes = b"", *, dtype: str = "|u1") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize(
    "member",
    [
        b"", b"\x93NUMPY", b"\x80\x04\x95pickle", npy("(5, 4, 5)", b"x" * 99), npy("(5, 4, 5)", b"x" * 101),
        npy("(1000000, 1000000)"), npy("(-1, 4, 5)"), npy("(4611686018427387904, 4611686018427387904)"),
        npy("(1" + "0" * 12 + ",)"), npy("'no'"), npy("(5,)", dtype="|O"), b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    ],
)  # fmt: skip
def test_broken_member_is_an_error_that_names_it(tmp_path: Path, member: bytes) -> None:
    path = save(tmp_path / "x.npz", x_train=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", member)
    with pytest.raises(DataError, match=r"x_train in .*x\.npz"):
        load_npz(path)


def test_bomb_is_refused_by_its_header_before_it_is_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", **(make_arrays() | {"x_train": np.zeros((5, 1000, 1000), np.uint8)}))
    with pytest.raises(DataError, match="needs 5000000 bytes; the cap is 4999999"):
        load_npz(tmp_path / "x.npz", max_bytes=4_999_999)


def test_changed_byte_is_found_by_the_checksum(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz")
    data = bytearray(path.read_bytes())
    place = data.index(make_arrays()["x_train"].tobytes())
    data[place + 7] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x_train in .*CRC"):
        load_npz(path)


@pytest.mark.parametrize("length", [0, 3, 60, 400, -1])
def test_truncated_archive_is_an_error(tmp_path: Path, length: int) -> None:
    path = save(tmp_path / "x.npz")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="a ZIP archive without its directory"):
        load_dataset(str(path))


def test_million_members_are_refused_before_the_directory_is_read(tmp_path: Path) -> None:
    """FAULTS 31: the end record claims a directory that would fill the memory."""
    path = save(tmp_path / "x.npz")
    data = bytearray(path.read_bytes())
    directory_bytes = int.from_bytes(data[-10:-6], "little") + (2 << 20)
    data[-10:-6] = directory_bytes.to_bytes(4, "little")
    path.write_bytes(data[:-22] + bytes(2 << 20) + data[-22:])
    with pytest.raises(DataError, match=f"its directory has {directory_bytes} bytes; the most is 1048576"):
        load_npz(path)


@pytest.mark.parametrize("has_record", [False, True])
def test_zip64_end_cannot_hide_the_directory(tmp_path: Path, has_record: bool) -> None:
    path = save(tmp_path / "x.npz")
    body, end = path.read_bytes()[:-22], path.read_bytes()[-22:]
    count, size, offset = struct.unpack_from("<HLL", end, 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    path.write_bytes(body + (record if has_record else b"") + locator + end)
    with pytest.raises(DataError, match="ZIP64 archive, of more than 4 GiB" if has_record else "ZIP64"):
        load_npz(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(DataError, match="not a regular file"), open_npz(tmp_path / "x.npz"):
        pass
    with pytest.raises(DataError, match="not a regular file"):
        load_dataset(str(tmp_path / "x.npz"))


def test_npz_is_told_by_its_content_too(tmp_path: Path) -> None:
    save(tmp_path / "x.npz").rename(tmp_path / "data")
    assert load_dataset(str(tmp_path / "data")).name == "data"


def test_the_only_npz_file_of_a_folder_is_its_data_set(tmp_path: Path) -> None:
    save(tmp_path / "toy.npz")
    (tmp_path / "README.md").write_text("words")
    assert load_dataset(str(tmp_path)).sha256 == load_dataset(str(tmp_path / "toy.npz")).sha256
    save(tmp_path / "other.npz")
    with pytest.raises(DataError, match=r"holds archives \(other.npz, toy.npz\); name one"):
        load_dataset(str(tmp_path))


def test_images_in_class_order_are_mixed(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(3), 4)
    images = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, np.newaxis, np.newaxis], (12, 4, 5))
    dataset = load_dataset(str(save(tmp_path / "x.npz", x_train=images, y_train=labels)))
    assert sorted(dataset.train.labels[-3:].tolist()) == [0, 1, 2]
    assert np.array_equal(dataset.train.images[:, 0, 0] // 4, dataset.train.labels)


def test_idx_in_class_order_is_mixed_too(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((6, 4, 5), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.array([0, 0, 0, 1, 1, 1], np.uint8))
    assert set(load_dataset(str(tmp_path)).train.labels[-2:].tolist()) == {0, 1}


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_size_resizes_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "x.npz", **make_arrays(shape=shape))
    dataset = load_dataset(str(tmp_path / "x.npz"), size=(16, 20))
    assert dataset.train.images.shape == (5, 16, 20, *shape[2:])
    assert dataset.test.images.shape == (2, 16, 20, *shape[2:])


def test_only_the_catalogues_own_images_are_recognised_and_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = load_dataset(str(save(tmp_path / "mnist.npz")))
    assert own.name == "mnist"  # a name is no proof
    assert not is_public(own)
    assert own.licence == "unknown"
    raw = load_npz(tmp_path / "mnist.npz").as_dataset()
    assert raw is not None
    monkeypatch.setitem(CATALOG, "mnist", replace(MNIST, content_sha256=raw.sha256))
    assert load_dataset(str(tmp_path / "mnist.npz")).licence == "CC-BY-SA-3.0"
    assert load_dataset(str(tmp_path / "mnist.npz"), size=(16, 16)).licence == "unknown"


def test_garbage_named_npz_is_bad_data(tmp_path: Path) -> None:
    stream = io.BytesIO(b"no archive at all, but long enough to hold an end record")
    (tmp_path / "x.npz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="a ZIP archive without its directory"):
        load_dataset(str(tmp_path / "x.npz"))


def test_labels_that_are_words_or_count_from_1_beside_names_say_what_to_do(tmp_path: Path) -> None:
    words = np.array(["cat", "dog", "cat", "dog", "cat"][: len(make_arrays()["y_train"])])
    with pytest.raises(
        DataError, match=r"expected integers .*save numpy\.unique's inverse, and its names as `classes`"
    ):
        load_npz(save(tmp_path / "words.npz", y_train=words))
    arrays = make_arrays()
    highest = int(max(arrays["y_train"].max(), arrays["y_test"].max()))
    names = np.array([f"n{number}" for number in range(highest + 1)])
    later = {key: arrays[key] + 1 for key in ("y_train", "y_test")}
    with pytest.raises(DataError, match=rf"labels to {highest + 1} for {highest + 1} names; expected 0 to {highest}"):
        load_npz(save(tmp_path / "from-1.npz", classes=names, **later))
