"""IDX files: what is read back, and how damaged ones are refused."""

from __future__ import annotations

import gzip
import math
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from idx_files import encode_idx, write_idx

from toolkit.data.formats.idx import read_idx
from toolkit.errors import DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def header(*dimensions: int, code: int = 0x08, rank: int | None = None) -> bytes:
    count = len(dimensions) if rank is None else rank
    return struct.pack(f">BBBB{len(dimensions)}I", 0, 0, code, count, *dimensions)


@given(
    array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)), compress=st.booleans()
)
def test_round_trip_returns_the_same_array(array: np.ndarray, compress: bool) -> None:
    read = read_idx(encode_idx(array, compress=compress), ranks=(1, 2, 3, 4))
    assert read.dtype == np.uint8
    assert read.shape == array.shape
    assert np.array_equal(read, array)


@given(data=st.binary(max_size=60))
def test_any_bytes_give_an_array_or_a_data_error(data: bytes) -> None:
    try:
        array = read_idx(data)
    except DataError:
        return
    assert encode_idx(array) in {data, gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data}


def test_result_is_writable() -> None:
    read_idx(encode_idx(IMAGES))[0, 0, 0] = 9


@pytest.mark.parametrize(("name", "compress"), [("a.gz", False), ("a", True)])
def test_gzip_is_judged_by_content_not_by_name(tmp_path: Path, name: str, compress: bool) -> None:
    write_idx(tmp_path / name, IMAGES, compress=compress)
    assert np.array_equal(read_idx(tmp_path / name), IMAGES)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["not an IDX file", "nothing"]),
        (b"\0\0\x08", ["not an IDX file"]),
        (b"<!DOCTYPE html>", ["not an IDX file", "3c 21 44 4f"]),
        (b"\1\0\x08\x03" + bytes(100), ["not an IDX file", "01 00 08 03"]),
        (b"\0\0\x07\x03" + bytes(100), ["not an IDX file", "00 00 07 03"]),
        (header(1, 1, 1, code=0x0D) + bytes(4), ["float32", "uint8"]),
        (header(1, 1, 1, code=0x0C) + bytes(4), ["int32", "uint8"]),
        (header(2, 2) + bytes(4), ["rank 2", "1 or 3 or 4"]),
        (header(rank=0) + bytes(4), ["rank 0"]),
        (header(2, 2, rank=3), ["12 bytes of header", "expected 16"]),
        (header(2, 3, 4) + bytes(23), ["short", "23 bytes", "expected 24"]),
        (header(2, 3, 4) + bytes(30), ["trailing", "30 bytes", "expected 24"]),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), ["cap", str((2**32 - 1) ** 3)]),
        (header(1 << 16, 1 << 16, 1 << 16), ["cap", str(1 << 48)]),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_damaged_file_is_refused_with_what_was_found(data: bytes, words: list[str], compress: bool) -> None:
    with pytest.raises(DataError) as caught:
        read_idx(gzip.compress(data) if compress else data, name="the file")
    assert "the file" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_body_over_the_stated_cap_is_refused_and_at_the_cap_is_read() -> None:
    data = encode_idx(IMAGES)
    assert read_idx(data, max_bytes=24).shape == (2, 3, 4)
    with pytest.raises(DataError, match="need 24 bytes; the cap is 23"):
        read_idx(data, max_bytes=23)


def test_long_header_claim_allocates_nothing_before_the_bytes_come() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="short"):
            read_idx(header(1000, 1000, 1000) + bytes(10))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def bomb(expected: int, blocks: int) -> bytes:
    return gzip.compress(header(expected) + bytes(blocks << 20))


def test_gzip_bomb_stops_near_the_expected_size() -> None:
    packed = bomb(10, blocks=64)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"trailing bytes: at least .* expected 10"):
            read_idx(packed)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keep", [3, 12, -9, -8, -1])
def test_truncated_gzip_is_refused(keep: int) -> None:
    with pytest.raises(DataError, match="damaged or cut off"):
        read_idx(encode_idx(IMAGES, compress=True)[:keep])


@pytest.mark.parametrize("position", [-8, -1, 20])
def test_gzip_with_a_flipped_byte_is_refused(position: int) -> None:
    packed = bytearray(encode_idx(IMAGES, compress=True))
    packed[position] ^= 0xFF
    with pytest.raises(DataError, match=r"damaged or cut off|trailing"):
        read_idx(bytes(packed))


@pytest.mark.parametrize("cut", [0, 7, 20, 40])
def test_several_gzip_members_are_one_file(cut: int) -> None:
    data = encode_idx(IMAGES)
    assert np.array_equal(read_idx(gzip.compress(data[:cut]) + gzip.compress(data[cut:])), IMAGES)


@pytest.mark.parametrize("rest", [b"x", encode_idx(IMAGES), gzip.compress(b"x", mtime=0)])
def test_bytes_after_the_gzip_data_are_refused(rest: bytes) -> None:
    with pytest.raises(DataError, match=r"damaged or cut off: Not a gzipped file|trailing bytes: 25 bytes"):
        read_idx(encode_idx(IMAGES, compress=True) + rest)


def test_body_of_many_chunks_is_read_whole(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    for compress in (False, True):
        write_idx(tmp_path / "a", array, compress=compress)
        assert np.array_equal(read_idx(tmp_path / "a"), array)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_fifo_is_refused_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        read_idx(tmp_path / "pipe")


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "none")


def test_dimension_product_is_exact_beyond_64_bits() -> None:
    sizes = (2**31, 2**31, 4)
    assert np.multiply.reduce(np.array(sizes, dtype=np.int64)) == 0  # what a fixed-width product would see
    with pytest.raises(DataError, match=str(math.prod(sizes))):
        read_idx(header(*sizes))
