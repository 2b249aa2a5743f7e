"""Names of files that come through a pipe."""

from __future__ import annotations

__all__ = ["read_names"]

import os
from typing import TYPE_CHECKING

from toolkit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CHUNK_BYTES = 1 << 16
LONGEST_NAME_BYTES = 1 << 16


def read_names(stream: BinaryIO) -> Iterator[str]:
    """Yield names as they come: ended by NUL where the first piece holds one (`find -print0`), else one a line.

    Empty names are left out. Nothing is read ahead of what the pipe holds.

    Raises:
        DataError: a name longer than any file's: what comes is no list.
    """
    rest = _read_some(stream)
    end = b"\0" if b"\0" in rest else b"\n"
    piece = rest
    while piece:
        *names, rest = rest.split(end)
        yield from (os.fsdecode(name) for name in _clean(names, end))
        if len(rest) > LONGEST_NAME_BYTES:
            raise DataError(f"standard input holds a name of over {LONGEST_NAME_BYTES} bytes; expected one a line")
        piece = _read_some(stream)
        rest += piece
    yield from (os.fsdecode(name) for name in _clean([rest], end))


def _read_some(stream: BinaryIO) -> bytes:
    read = getattr(stream, "read1", stream.read)
    return bytes(read(CHUNK_BYTES))


def _clean(names: list[bytes], end: bytes) -> Iterator[bytes]:
    for name in names:
        cleaned = name.removesuffix(b"\r") if end == b"\n" else name
        if cleaned:
            yield cleaned
