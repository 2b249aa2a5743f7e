"""Packed bytes as one stream: what comes out, and what ends it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.containers.unpacked import MAX_RATIO, UnpackBudget, join_pieces, open_unpacked, read_up_to
from toolkit.errors import DataError

Pack = Callable[[bytes], bytes]
PACKERS: list[Pack] = [gzip.compress, bz2.compress, lzma.compress]
every_packer = pytest.mark.parametrize("pack", PACKERS, ids=["gzip", "bzip2", "xz"])


def unpack(packed: bytes, *, most_bytes: int = 1 << 30) -> io.BufferedReader:
    return open_unpacked(io.BytesIO(packed), name="x", budget=UnpackBudget("x", most_bytes=most_bytes))


@given(pieces=st.lists(st.binary(max_size=9)), counts=st.lists(st.integers(0, 12)))
def test_pieces_come_in_order_by_any_counts(pieces: list[bytes], counts: list[int]) -> None:
    stream = join_pieces(iter(pieces))
    parts = [stream.read(count) for count in counts]
    assert all(len(part) <= count for part, count in zip(parts, counts, strict=True))
    assert b"".join(parts) + stream.read() == b"".join(pieces)


def test_no_piece_is_taken_before_it_is_read() -> None:
    taken: list[int] = []

    def make() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield bytes(1 << 19)

    stream = join_pieces(make())
    assert taken == []
    stream.read(10)
    assert taken == [0]


@given(data=st.binary(max_size=400), pack=st.sampled_from(PACKERS), is_packed=st.booleans())
def test_what_was_packed_comes_out_and_what_was_not_stays(data: bytes, pack: Pack, is_packed: bool) -> None:
    plain = b"\0" + data
    assert unpack(pack(plain) if is_packed else plain).read() == plain


@every_packer
def test_more_than_the_budget_is_an_error_and_no_memory(pack: Pack) -> None:
    packed = pack(bytes(64 << 20))
    tracemalloc.start()
    try:
        stream = unpack(packed, most_bytes=1 << 20)
        with pytest.raises(DataError, match=r"archive bomb: it holds more than 1048576 bytes; the rest was not opened"):
            deque(iter(lambda: stream.read(1 << 16), b""), maxlen=0)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20  # xz has a dictionary of 8 MiB
    finally:
        tracemalloc.stop()


@every_packer
@pytest.mark.parametrize("keep", [-1, -9, 0.5])
def test_what_is_cut_off_is_an_error(pack: Pack, keep: float) -> None:
    packed = pack(bytes(range(256)) * 40)
    with pytest.raises(DataError, match=r"x is damaged or cut off: .*; get the file again"):
        unpack(packed[: int(len(packed) * keep) if keep > 0 else int(keep)]).read()


@every_packer
def test_a_flipped_byte_is_an_error(pack: Pack) -> None:
    packed = bytearray(pack(bytes(range(256)) * 40))
    packed[len(packed) // 2] ^= 0x55
    with pytest.raises(DataError, match="x is damaged or cut off"):
        unpack(bytes(packed)).read()


def test_the_budget_of_a_file_follows_its_size() -> None:
    stream = io.BytesIO(bytes(1000))
    small, large = (UnpackBudget.of_file(io.BytesIO(bytes(size)), name="x").left_bytes for size in (0, 1000))
    assert large - small == MAX_RATIO * 1000
    stream.read(3)
    UnpackBudget.of_file(stream, name="x")
    assert stream.tell() == 0


def test_memory_is_taken_for_what_comes_and_not_for_the_count() -> None:
    tracemalloc.start()
    try:
        assert read_up_to(join_pieces(iter([b"a", b"bc"])), 1 << 30) == b"abc"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert read_up_to(io.BytesIO(b"abc"), 2) == b"ab"
