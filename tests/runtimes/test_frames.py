"""Frames that come in pieces are the frames that were written."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.runtimes.workers.frames import FrameBuffer, read_frame, write_frame


@given(sizes=st.lists(st.integers(0, 5), max_size=4), pieces=st.lists(st.integers(1, 60), min_size=1))
def test_frames_come_whole_and_in_order_however_their_bytes_are_cut(sizes: list[int], pieces: list[int]) -> None:
    stream = io.BytesIO()
    for number, size in enumerate(sizes):
        arrays = {"x": np.arange(size, dtype=np.int16), "y": np.full((size, 2), number, np.uint8)}
        write_frame(stream, {"number": number}, arrays=arrays if size else {})
    written, buffer, seen = stream.getvalue(), FrameBuffer(), []
    while written:
        size = pieces[len(written) % len(pieces)]
        seen += list(buffer.feed(written[:size]))
        written = written[size:]
    assert [header["number"] for header, _ in seen] == list(range(len(sizes)))
    for number, (size, (_, arrays)) in enumerate(zip(sizes, seen, strict=True)):
        assert [array.tolist() for array in arrays.values()] == (
            [[*range(size)], [[number] * 2] * size] if size else []
        )


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK", b"TKF1\xff\xff\xff\xff"])
def test_bytes_that_are_no_frame_are_refused(sent: bytes) -> None:
    with pytest.raises(ValueError, match="did not write a frame"):
        list(FrameBuffer().feed(sent))


@pytest.mark.parametrize("header", [b"", b"{}", b"[]", b'{"arrays": [{}]}', b'{"arrays": 3}', b"no JSON"])
def test_a_header_that_describes_no_arrays_is_refused_by_both_readers_at_once(header: bytes) -> None:
    sent = b"TKF1" + len(header).to_bytes(4, "little") + header
    with pytest.raises(ValueError, match=r"describe its arrays|Expecting value"):
        list(FrameBuffer().feed(sent))
    with pytest.raises(ValueError, match=r"describe its arrays|Expecting value"):
        read_frame(io.BytesIO(sent))


def test_an_array_past_the_cap_is_refused_before_its_bytes_are_waited_for() -> None:
    header = b'{"arrays": [{"name": "x", "dtype": "|u1", "shape": [99999999999999]}]}'
    with pytest.raises(ValueError, match="cannot travel in a frame"):
        list(FrameBuffer().feed(b"TKF1" + len(header).to_bytes(4, "little") + header))
