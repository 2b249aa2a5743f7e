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
    header, _ = _read_header(_read_exactly(stream, length))
    return _read_arrays(stream, header)


class FrameBuffer:
    """Frames out of bytes that come in pieces, as to who may not wait for them."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._header: dict[str, Any] | None = None
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
                frame = _read_arrays(io.BytesIO(self._bytes[self._header_end : self._needed]), self._header)
                del self._bytes[: self._needed]
                self._header, self._header_end, self._needed = None, 0, 8
                yield frame
            elif not self._header_end:
                self._header_end = self._needed = 8 + _header_length(self._bytes[:8])
            else:
                self._header, size = _read_header(self._bytes[8 : self._header_end])
                self._needed += size


def _header_length(start: bytes | bytearray) -> int:
    length = int(struct.unpack("<I", start[4:])[0]) if len(start) == 8 else 0
    if start[:4] != MAGIC or length > HEADER_CAP_BYTES:
        raise ValueError("the other side did not write a frame")
    return length


def _read_header(text: bytes | bytearray) -> tuple[dict[str, Any], int]:
    """Return a header, and how many bytes its arrays take; they may travel, and each is described."""
    try:
        header: dict[str, Any] = json.loads(text)
        return header, sum(_size_bytes(item) for item in header["arrays"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a frame's header does not describe its arrays: {error!r}") from error


def _size_bytes(item: dict[str, Any]) -> int:
    dtype = find_dtype(item["dtype"])
    size = int(math.prod(item["shape"]) * dtype.itemsize)
    if dtype.hasobject or not 0 <= size <= FRAME_CAP_BYTES:
        raise ValueError(f"array {item['name']!r} of {dtype} {item['shape']} cannot travel in a frame")
    return size


def _dtype_word(dtype: np.dtype[Any]) -> str:
    """Return what tells the type to the other side: NumPy's own word, but where it has none."""
    return type_name(dtype) if type_name(dtype) in SMALL_BITS else dtype.str


def _read_arrays(stream: BinaryIO, header: dict[str, Any]) -> Frame:
    arrays = {
        str(item["name"]): np.frombuffer(_read_exactly(stream, _size_bytes(item)), find_dtype(item["dtype"])).reshape(
            item["shape"]
        )
        for item in header.pop("arrays")
    }
    return header, arrays


def _read_exactly(stream: BinaryIO, size: int) -> bytearray:
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    while done < size:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]  # BinaryIO lacks readinto; every binary file has it
        if not count:
            raise EOFError(f"the stream ended {count_of(size - done, 'byte')} before the end of a frame")
        done += count
    return buffer
