"""Frames between parent and worker: a JSON header and raw buffers, nothing that runs code when it is read."""

from __future__ import annotations

__all__ = ["Frame", "FrameBuffer", "encode_frame", "read_frame", "write_frame"]

import functools
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.onnx_file.element_types import SMALL_BITS, find_dtype, type_name

MAGIC = b"TKF1"
HEADER_CAP_BYTES = 64 << 20
FRAME_CAP_BYTES = 16 << 30
# A header and arrays by name.
Frame = tuple[dict[str, Any], dict[str, NDArray[Any]]]


class _Described(NamedTuple):
    """What a header tells of an array."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size_bytes: int


def encode_frame(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> list[bytes | memoryview]:
    """Return one frame: magic, header length (4 bytes little-endian) and JSON header, then each array's bytes.

    The bytes are the arrays' own where those are contiguous: nothing may write into them before they are sent.
    """
    index = [
        {"name": name, "dtype": _dtype_word(array.dtype), "shape": list(array.shape)} for name, array in arrays.items()
    ]
    text = json.dumps({**header, "arrays": index}).encode()
    buffers = (np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays.values())
    return [MAGIC + struct.pack("<I", len(text)) + text, *buffers]


def write_frame(
    stream: BinaryIO, header: Mapping[str, Any], *, arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write one frame, and flush."""
    stream.writelines(encode_frame(header, arrays or {}))
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """Read one frame; None at a clean end of the stream.

    Raises:
        EOFError: the stream ends inside a frame.
        ValueError: the bytes are not a frame, or it is larger than the cap.
    """
    start = stream.read(8)
    if not start:
        return None
    header, described = _read_header(_read_exactly(stream, _header_length(start)))
    return header, _read_arrays(described, functools.partial(_read_exactly, stream))


class FrameBuffer:
    """Frames out of bytes that come in pieces, as to who may not wait for them."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._header: tuple[dict[str, Any], list[_Described]] | None = None
        self._header_end = 0  # as its beginning tells it; 0 before that is there
        self._needed = 8

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Take a piece and return the frames that are whole by now.

        Raises:
            ValueError: the bytes are no frames.
        """
        self._bytes += piece
        while len(self._bytes) >= self._needed:
            if self._header is not None:
                header, described = self._header
                del self._bytes[: self._header_end]
                arrays = _read_arrays(described, self._cut)
                self._header, self._header_end, self._needed = None, 0, 8
                yield header, arrays
            elif not self._header_end:
                self._header_end = self._needed = 8 + _header_length(self._bytes[:8])
            else:
                self._header = _read_header(self._bytes[8 : self._header_end])
                self._needed += sum(item.size_bytes for item in self._header[1])

    def _cut(self, size: int) -> bytearray:
        cut = self._bytes[:size]
        del self._bytes[:size]
        return cut


def _header_length(start: bytes | bytearray) -> int:
    length = int(struct.unpack("<I", start[4:])[0]) if len(start) == 8 else 0
    if start[:4] != MAGIC or length > HEADER_CAP_BYTES:
        raise ValueError("the other side did not write a frame")
    return length


def _read_header(text: bytearray) -> tuple[dict[str, Any], list[_Described]]:
    """Return a header, and its arrays; they may travel, and each is described."""
    try:
        header: dict[str, Any] = json.loads(text)
        return header, [_describe(item["name"], item["dtype"], *item["shape"]) for item in header.pop("arrays")]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a frame's header does not describe its arrays: {error!r}") from error


@functools.lru_cache(maxsize=1000)  # a model takes and gives the same few shapes again and again
def _describe(name: str, word: str, *shape: int) -> _Described:
    dtype = find_dtype(word)
    size = int(math.prod(shape) * dtype.itemsize)
    if dtype.hasobject or not 0 <= size <= FRAME_CAP_BYTES:
        raise ValueError(f"array {name!r} of {dtype} {list(shape)} cannot travel in a frame")
    return _Described(str(name), dtype, shape, size)


def _dtype_word(dtype: np.dtype[Any]) -> str:
    """Return what tells the type to the other side: NumPy's own word, but where it has none."""
    return type_name(dtype) if type_name(dtype) in SMALL_BITS else dtype.str


def _read_arrays(described: list[_Described], take: Callable[[int], bytearray]) -> dict[str, NDArray[Any]]:
    return {item.name: np.frombuffer(take(item.size_bytes), item.dtype).reshape(item.shape) for item in described}


def _read_exactly(stream: BinaryIO, size: int) -> bytearray:
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    while done < size:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]  # BinaryIO lacks readinto; every binary file has it
        if not count:
            raise EOFError(f"the stream ended {count_of(size - done, 'byte')} before the end of a frame")
        done += count
    return buffer
