"""IDX, the file format of MNIST.

A file is two zero bytes, a byte for the elements' type, a byte for the rank, the dimensions as big-endian 32-bit
numbers, then the elements, the last dimension running fastest.

Source of the format: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

__all__ = ["MAX_BODY_BYTES", "read_idx", "read_idx_shape"]

import io
import math
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from toolkit.containers.mapped import can_be_mapped, map_array
from toolkit.containers.unpacked import UnpackBudget, open_unpacked, read_up_to
from toolkit.errors import DataError
from toolkit.regular_file import open_regular

MAX_BODY_BYTES = 1 << 30
UINT8_CODE = 0x08
ELEMENT_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
MAX_HEADER_BYTES = 4 + 4 * 255  # the rank is one byte
# Trailing bytes are counted for the message up to here; a gzip bomb is not unpacked to its end for it.
MAX_COUNTED_REST_BYTES = 1 << 20


def read_idx(
    source: Path | bytes | BinaryIO,
    *,
    ranks: tuple[int, ...] = (1, 3, 4),
    max_bytes: int = MAX_BODY_BYTES,
    name: str | None = None,
) -> npt.NDArray[np.uint8]:
    """Read one IDX file of uint8 elements, gzip or not (judged by content).

    Args:
        source: a regular file, its bytes, or a stream at its start.
        ranks: the numbers of dimensions that are accepted.
        max_bytes: the most bytes of elements that are read, whatever the header or the gzip data say.
        name: what the source is called in messages; the path by default.

    Returns:
        uint8, writable, of the header's shape; a large array that lies plain in a file is mapped.

    Raises:
        DataError: the file cannot be read, its header names another type, rank or size, or its body is not exactly as
            long as its header says.
    """
    title = name or (str(source) if isinstance(source, Path) else "IDX data")
    if isinstance(source, bytes):
        return _read_array(io.BytesIO(source), ranks=ranks, max_bytes=max_bytes, name=title)
    if not isinstance(source, Path):
        return _read_array(source, ranks=ranks, max_bytes=max_bytes, name=title)
    with open_regular(source, name=title) as stream:
        return _read_array(stream, ranks=ranks, max_bytes=max_bytes, name=title)


def read_idx_shape(stream: BinaryIO, *, ranks: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Read an IDX header of uint8 elements and return its dimensions; the stream is left at the first element.

    Args:
        stream: at the first byte.
        ranks: the numbers of dimensions that are accepted.
        name: what the source is called in messages.

    Raises:
        DataError: it is not IDX, or names another type or rank.
    """
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENT_TYPES:
        found = magic.hex(" ") or "nothing"
        raise DataError(f"{name} is not an IDX file: it begins with {found}, expected 00 00 08 and the rank")
    if magic[2] != UINT8_CODE:
        found = f"{ELEMENT_TYPES[magic[2]]} (type 0x{magic[2]:02x})"
        raise DataError(f"{name} holds {found} elements; expected uint8 (type 0x08)")
    rank = magic[3]
    if rank not in ranks:
        raise DataError(f"{name} has rank {rank}; expected {' or '.join(map(str, ranks))}")
    packed = stream.read(4 * rank)
    if len(packed) < 4 * rank:
        raise DataError(f"{name} is short: {4 + len(packed)} bytes of header, expected {4 + 4 * rank} for rank {rank}")
    return struct.unpack(f">{rank}I", packed)


def _read_array(stream: BinaryIO, *, ranks: tuple[int, ...], max_bytes: int, name: str) -> npt.NDArray[np.uint8]:
    budget = UnpackBudget(name, most_bytes=max_bytes + MAX_HEADER_BYTES + MAX_COUNTED_REST_BYTES)
    plain = open_unpacked(stream, name=name, budget=budget)
    shape = read_idx_shape(plain, ranks=ranks, name=name)
    expected = math.prod(shape)
    if expected > max_bytes:
        raise DataError(f"{name}: dimensions {list(shape)} need {expected} bytes; the cap is {max_bytes}")
    start = 4 + 4 * len(shape)
    if plain is stream and can_be_mapped(stream, expected):
        found = stream.seek(0, io.SEEK_END) - start
        if found == expected:
            return map_array(stream, start=start, shape=shape, dtype=np.uint8)
        stream.seek(start)
    # One byte more than expected makes a gzip stream go on to its end, where its checksum stands.
    body = read_up_to(plain, expected + 1)
    if len(body) < expected:
        raise DataError(f"{name} is short: {len(body)} bytes of elements, expected {expected} for {list(shape)}")
    if len(body) > expected:
        found = len(body) + len(read_up_to(plain, MAX_COUNTED_REST_BYTES))
        least = "at least " if found > expected + MAX_COUNTED_REST_BYTES else ""
        size = f"{least}{found} bytes of elements, expected {expected} for {list(shape)}"
        raise DataError(f"{name} has trailing bytes: {size}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
