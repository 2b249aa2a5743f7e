from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import encode_idx
from item_sources import list_items, messages_of, npy_bytes

from toolkit.prediction.sources.arrays import MAX_BLOCK_BYTES, MAX_BLOCK_IMAGES, block_length
from toolkit.prediction.sources.items import ArrayItem
from toolkit.prediction.sources.open import open_items

GREY = (np.arange(5 * 28 * 28) % 251).reshape(5, 28, 28).astype(np.uint8)


def only_array(*paths: Path) -> np.ndarray:
    (item,) = list_items(*paths)
    assert isinstance(item, ArrayItem)
    assert item.start == 0
    return item.images


def only_message(path: Path) -> str:
    (item,) = list_items(path)
    (message,) = messages_of([item])
    return message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["idx", "npy"])
def test_arrays_come_as_they_are(tmp_path: Path, kind: str, packed: bool) -> None:
    data = encode_idx(GREY) if kind == "idx" else npy_bytes(GREY)
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    assert np.array_equal(only_array(tmp_path / "x"), GREY)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", ">i2", "float32", ">f8", "float16", "uint64"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 28), (3, 28, 28, 1), (3, 28, 28, 3)])
def test_every_type_order_and_shape_is_the_same_in_a_file_and_in_an_archive(
    tmp_path: Path, dtype: str, order: Any, shape: tuple[int, ...]
) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 2, shape).astype(dtype), order=order)
    expected = array.reshape(-1, 28, 28, *([3] if shape[-1] == 3 else []))
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", a=array)
    (tmp_path / "x.gz").write_bytes(gzip.compress(npy_bytes(array)))
    for name in ("x.npy", "x.npz", "x.gz"):
        images = only_array(tmp_path / name)
        assert images.dtype == np.dtype(dtype)
        assert np.array_equal(images, expected)


def test_npz_names_its_keys_and_leaves_labels_out(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x_train=GREY, y_train=np.arange(5), names=np.array(["a", "b"]), one=np.int64(3), x_test=GREY[:2])
    notes: list[str] = []
    items = list_items(path, notes=notes)
    assert [(item.source, item.num_rows) for item in items] == [(f"{path}!x_train", 5), (f"{path}!x_test", 2)]
    assert notes == [f"{path}: left out 3 arrays that are no images: {path}!y_train, {path}!names, {path}!one"]


def test_npz_without_images_is_one_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", y=np.arange(3))
    assert "no array of images" in only_message(tmp_path / "x.npz")


def test_npz_of_objects_is_an_error_and_not_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    np.savez(tmp_path / "x.npz", a=np.array([Evil()], object), b=GREY)
    items = list_items(tmp_path / "x.npz")
    assert "Python objects" in messages_of(items)[0]
    assert isinstance(items[1], ArrayItem)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("shape", "packed", "lengths"),
    [
        ((10_000, 8, 8), False, [4096, 4096, 1808]),
        ((10_000, 8, 8), True, [4096, 4096, 1808]),
        ((3, 4000, 8000, 1), False, [2, 1]),
        ((3, 4000, 8000, 1), True, [2, 1]),
        ((2, 6000, 6000, 3), False, [1, 1]),
        ((0, 28, 28), False, []),
        ((0, 28, 28), True, []),
    ],
)
def test_blocks_are_bounded_and_numbered(
    tmp_path: Path, shape: tuple[int, ...], packed: bool, lengths: list[int]
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    if packed:
        (tmp_path / "x.npy").write_bytes(gzip.compress((tmp_path / "x.npy").read_bytes(), 1))
    items = list_items(tmp_path / "x.npy")
    assert [item.num_rows for item in items] == lengths
    assert [item.start for item in items if isinstance(item, ArrayItem)] == [
        sum(lengths[:n]) for n in range(len(lengths))
    ]
    for item in items:
        assert isinstance(item, ArrayItem)
        assert item.images.nbytes <= MAX_BLOCK_BYTES or len(item.images) == 1


def test_block_lengths() -> None:
    assert block_length(784) == MAX_BLOCK_IMAGES
    assert block_length(MAX_BLOCK_BYTES + 1) == 1
    assert block_length(0) == MAX_BLOCK_IMAGES


def test_a_mapped_file_stays_mapped_and_flat_in_memory(tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc")
    path = tmp_path / "x.npy"
    code = """
import resource, sys
import numpy as np
from toolkit.prediction.sources.open import open_items
np.lib.format.open_memmap(sys.argv[1], "w+", np.uint8, (500_000, 28, 28)).flush()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
sizes, total = [], 0
for item in open_items(sys.argv[1:]):
    total += int(item.images.sum()) + len(item.images)
    sizes.append(resident())
print(total, max(sizes) - sizes[0])
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    rows, grown_mb = map(int, done.stdout.split())
    assert rows == 500_000
    assert grown_mb < 20  # of 392


def test_a_packed_array_takes_no_more_memory_than_a_block(tmp_path: Path) -> None:
    data = encode_idx(np.zeros((100_000, 28, 28), np.uint8))
    (tmp_path / "x.gz").write_bytes(gzip.compress(data, 1))
    del data
    tracemalloc.start()
    try:
        assert sum(item.num_rows for item in open_items([tmp_path / "x.gz"])) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 20 << 20  # of 78
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encode_idx(GREY)[:-1], "short"),
        (encode_idx(GREY) + b"x", "trailing"),
        (encode_idx(np.arange(5, dtype=np.uint8)), "rank"),
        (b"\0\0\x0d\3" + bytes(12), "float32"),
        (b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "short|1 to"),
        (b"\0\0\x08\3\0\0", "short"),
        (b"\0\0\x08\3" + b"\0\0\0\1" + bytes(8), "1 to"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_broken_idx_is_one_error(tmp_path: Path, data: bytes, said: str, packed: bool) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    assert any(words in only_message(tmp_path / "x") for words in said.split("|"))


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(encode_idx(GREY))[:-5],
        gzip.compress(encode_idx(GREY)) + gzip.compress(b"x"),
        gzip.compress(encode_idx(GREY)) + b"rest",
        gzip.compress(encode_idx(GREY))[:-8] + bytes(8),
        gzip.compress(b"hello"),
        b"\x1f\x8b",
        b"\x1f\x8b" + b"x" * 50,
    ],
    ids=["cut", "members", "rest", "checksum", "text", "magic", "garbage"],  # gzip has the time in it
)
def test_broken_gzip_is_one_error_and_no_images(tmp_path: Path, data: bytes) -> None:
    """FAULTS 11."""
    (tmp_path / "x").write_bytes(data)
    only_message(tmp_path / "x")


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """FAULTS 11."""
    header = encode_idx(np.zeros((1, 28, 28), np.uint8))
    (tmp_path / "x").write_bytes(gzip.compress(header + bytes(300 << 20), 9))
    tracemalloc.start()
    try:
        assert "trailing" in only_message(tmp_path / "x")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    """FAULTS 12."""
    data = b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(50 << 20)
    (tmp_path / "x").write_bytes(gzip.compress(data))
    tracemalloc.start()
    try:
        assert "claims 4294967295 bytes" in only_message(tmp_path / "x")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "shape", ["(10**12,)", "(1000000000000, 28, 28)", "(-1, 28, 28)", "(28,)", "()", "(1,1,1,28,28)"]
)
def test_impossible_shapes_are_one_error(tmp_path: Path, shape: str) -> None:
    """FAULTS 12."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    data = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(784)
    (tmp_path / "x.npy").write_bytes(data)
    only_message(tmp_path / "x.npy")
    (tmp_path / "x.gz").write_bytes(gzip.compress(data))
    only_message(tmp_path / "x.gz")


@pytest.mark.parametrize("dtype", ["complex64", "U3", "M8[s]", [("a", "u1")]])
def test_types_that_are_no_numbers_are_one_error(tmp_path: Path, dtype: Any) -> None:
    array = np.zeros((2, 28, 28), dtype)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", a=array)
    assert "expected uint8" in only_message(tmp_path / "x.npy")
    assert "expected uint8" in only_message(tmp_path / "x.npz")


def test_a_packed_array_in_fortran_order_is_held_whole_and_so_has_to_be_small(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.asfortranarray(np.zeros((100_000, 28, 28), np.uint8)))
    assert "Fortran order" in only_message(tmp_path / "x.npz")


def test_a_fifo_called_npy_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    assert "not a regular file" in only_message(tmp_path / "x.npy")


def test_a_file_called_npy_that_is_none_says_so(tmp_path: Path) -> None:
    for data in (b"", b"text", b"\x80\x04\x95pickle"):
        (tmp_path / "x.npy").write_bytes(data)
        assert "cannot be read as an NPY array" in only_message(tmp_path / "x.npy")


def test_a_header_that_python_2_wrote_is_read_without_a_warning(tmp_path: Path) -> None:
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (5L, 28L, 28L), }\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + GREY.tobytes())
    assert np.array_equal(only_array(tmp_path / "x.npy"), GREY)
