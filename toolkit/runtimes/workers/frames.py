"""Frames between parent and worker: a JSON header and raw buffers, nothing that runs code when it is read."""

from __future__ import annotations

__all__ = ["Frame", "FrameBuffer", "read_frame", "write_frame"]

import io
import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.onnx_file.element_types import SMALL_BITS, find_dtype, type_name

MAGIC = b"TKF1"
HEADER_CAP_BYTES = 64 << 20
FRAME_CAP_BYTES = 16 << 30
# A header and arrays by name.
Frame = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def write_frame(
    stream: BinaryIO, header: Mapping[str, Any], *, arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write one frame: magic, header length (4 bytes little-endian), JSON header, then each array's bytes."""
    buffers = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    index = [
        {"name": name, "dtype": _dtype_word(array.dtype), "shape": list(np.shape((arrays or {})[name]))}
        for name, array in buffers.items()
    ]
    text = json.dumps({**header, "arrays": index}).encode()
    stream.write(MAGIC + struct.pack("<I", len(text)) + text)
    stream.writelines(array.reshape(-1).view(np.uint8).data for array in buffers.values())
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
    length = _header_length(start)
    try:
        header = json.loads(_read_exactly(stream, length))
        arrays = {str(item["name"]): _read_array(stream, item) for item in header.pop("arrays")}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a frame's header does not describe its arrays: {error!r}") from error
    return header, arrays


class FrameBuffer:
    """Frames out of bytes that come in pieces, as to who may not wait for them."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._header: dict[str, Any] | None = None
        self._length = 0
        self._needed = 8

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Take a piece and return the frames that are whole by now.

        Raises:
            ValueError: the bytes are no frames.
        """
        self._bytes += piece
        while len(self._bytes) >= self._needed:
            if self._header is not None:
                whole = io.BytesIO(self._bytes)
                whole.seek(8 + self._length)
                header, self._header = self._header, None
                arrays = {str(item["name"]): _read_array(whole, item) for item in header.pop("arrays")}
                del self._bytes[: self._needed]
                self._needed = 8
                yield header, arrays
            elif self._needed == 8:
                self._length = _header_length(self._bytes[:8])
                self._needed += self._length
            else:
                self._header = json.loads(self._bytes[8 : self._needed])
                self._needed += sum(_size_bytes(item) for item in self._header["arrays"])


def _header_length(start: bytes | bytearray) -> int:
    length = int(struct.unpack("<I", start[4:])[0]) if len(start) == 8 else 0
    if start[:4] != MAGIC or length > HEADER_CAP_BYTES:
        raise ValueError("the other side did not write a frame")
    return length


def _size_bytes(item: dict[str, Any]) -> int:
    return int(math.prod(item["shape"]) * find_dtype(item["dtype"]).itemsize)


def _dtype_word(dtype: np.dtype[Any]) -> str:
    """Return what tells the type to the other side: NumPy's own word, but where it has none."""
    return type_name(dtype) if type_name(dtype) in SMALL_BITS else dtype.str


def _read_array(stream: BinaryIO, item: dict[str, Any]) -> NDArray[Any]:
    dtype = find_dtype(item["dtype"])
    size = _size_bytes(item)
    if dtype.hasobject or not 0 <= size <= FRAME_CAP_BYTES:
        raise ValueError(f"array {item['name']!r} of {dtype} {item['shape']} cannot travel in a frame")
    return np.frombuffer(_read_exactly(stream, size), dtype).reshape(item["shape"])


def _read_exactly(stream: BinaryIO, size: int) -> bytearray:
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    while done < size:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]  # BinaryIO lacks readinto; every binary file has it
        if not count:
            raise EOFError(f"the stream ended {count_of(size - done, 'byte')} before the end of a frame")
        done += count
    return buffer
