"""Paths from a stream, such as the output of `find` or `find -print0`, read as they come."""

from __future__ import annotations

__all__ = ["read_paths"]

import os
from collections.abc import Iterator
from typing import BinaryIO

from toolkit.errors import DataError

CHUNK_BYTES = 1 << 16
# Linux ends a path at 4,096 bytes, Windows at 32,767 letters.
MAX_PATH_BYTES = 1 << 17


def read_paths(stream: BinaryIO) -> Iterator[str]:
    """Yield paths, one a line; ended by NUL instead of a newline where the first piece that comes holds a NUL.

    Empty ones are left out. At most one piece of the stream and one path are held.

    Raises:
        DataError: no path ends for 131,072 bytes: that is no list.
    """
    read = getattr(stream, "read1", stream.read)
    rest = read(CHUNK_BYTES)
    separator = b"\0" if b"\0" in rest else b"\n"
    while True:
        *paths, rest = rest.split(separator)
        yield from _decode(paths, separator)
        if len(rest) > MAX_PATH_BYTES:
            raise DataError("standard input holds no list of paths: one of them does not end; expected one a line")
        chunk = read(CHUNK_BYTES)
        if not chunk:
            yield from _decode([rest], separator)
            return
        rest += chunk


def _decode(paths: list[bytes], separator: bytes) -> Iterator[str]:
    for path in paths:
        plain = path.removesuffix(b"\r") if separator == b"\n" else path
        if plain:
            yield os.fsdecode(plain)
