"""Bytes that come packed, or in pieces, as one plain stream: the standard library's decompressors under a cap."""

from __future__ import annotations

__all__ = ["UnpackBudget", "join_pieces", "open_unpacked", "read_up_to"]

import io
import zlib
from collections.abc import Iterator
from io import BufferedReader
from typing import BinaryIO

from toolkit.errors import DataError

GZIP_MAGIC, BZIP2_MAGIC, XZ_MAGIC = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
CHUNK_BYTES = 1 << 18
# xz -9 needs 65 MiB to unpack; a header can ask for 4 GiB.
MAX_XZ_BYTES = 192 << 20
# Deflate's own limit is 1,032; pictures do not come near.
MAX_RATIO = 1000
# A small archive of a few blank pictures is no bomb.
FREE_BYTES = 128 << 20


class UnpackBudget:
    """How much may come out of one file: what an archive bomb runs into, whatever its headers claim.

    Args:
        name: what the file is called in messages.
        most_bytes: the most that may come.

    Attributes:
        left_bytes: how many more may come.
    """

    def __init__(self, name: str, *, most_bytes: int) -> None:
        self._name = name
        self._most_bytes = most_bytes
        self.left_bytes = most_bytes

    @classmethod
    def of_file(cls, stream: BinaryIO, *, name: str) -> UnpackBudget:
        """Return what any honest file of this size holds at most.

        Args:
            stream: the file, at its start.
            name: what it is called in messages.
        """
        packed_bytes = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        return cls(name, most_bytes=MAX_RATIO * packed_bytes + FREE_BYTES)

    @property
    def is_spent(self) -> bool:
        """Whether more came out than may."""
        return self.left_bytes < 0

    def spend(self, count: int) -> None:
        """Take note of `count` more bytes.

        Raises:
            DataError: that is more than may come.
        """
        self.left_bytes -= count
        if self.is_spent:
            raise DataError(
                f"{self._name} is not what it should be, or an archive bomb: it holds more than {self._most_bytes} "
                "bytes; the rest was not opened"
            )


def open_unpacked(stream: BinaryIO, *, name: str, budget: UnpackBudget) -> BufferedReader:
    """Return a file's plain bytes, unpacked as they are asked for; gzip, bzip2 and xz are judged by their first bytes.

    Reading raises DataError where they are damaged, cut off, or more than the budget allows.

    Args:
        stream: the file, at its start.
        name: what it is called in messages.
        budget: what may come out.
    """
    packed: BufferedReader = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]
    head = packed.peek(len(XZ_MAGIC))
    if head.startswith(XZ_MAGIC):
        return join_pieces(_unpack_xz(packed, name), budget=budget)
    if head.startswith(BZIP2_MAGIC):
        import bz2

        return join_pieces(_unpack(bz2.BZ2File(packed), name), budget=budget)
    if head.startswith(GZIP_MAGIC):
        import gzip

        return join_pieces(_unpack(gzip.GzipFile(fileobj=packed), name), budget=budget)
    return packed


def join_pieces(pieces: Iterator[bytes], *, budget: UnpackBudget | None = None) -> BufferedReader:
    """Return pieces of any size as one stream; only as many are taken as are read.

    Args:
        pieces: in order; what they raise, reading raises.
        budget: what may come; None where whoever makes the pieces sees to that.
    """
    return io.BufferedReader(_Pieces(pieces, budget), CHUNK_BYTES)


def read_up_to(stream: BinaryIO, count: int) -> bytearray:
    """Return the next `count` bytes, fewer where the stream ends; memory is taken for what comes, not for the count."""
    body = bytearray()
    while len(body) < count and (piece := stream.read(min(CHUNK_BYTES, count - len(body)))):
        body += piece
    return body


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes], budget: UnpackBudget | None) -> None:
        self._pieces = pieces
        self._budget = budget
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives one
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            if self._budget is not None:
                self._budget.spend(len(piece))
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _unpack(stream: io.BufferedIOBase, name: str) -> Iterator[bytes]:
    try:
        while piece := stream.read(CHUNK_BYTES):
            yield piece
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(name, error) from error


def _unpack_xz(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Unpack one xz stream after another; LZMAFile would do so without a limit on memory."""
    import lzma

    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)
    try:
        while True:
            packed = b""
            if decompressor.eof:
                packed = decompressor.unused_data.lstrip(b"\0") or stream.read(CHUNK_BYTES).lstrip(b"\0")
                if not packed:
                    return
                decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)
            elif decompressor.needs_input and not (packed := stream.read(CHUNK_BYTES)):
                raise _damaged(name, "its xz data end too early")
            yield decompressor.decompress(packed, CHUNK_BYTES)
    except (OSError, lzma.LZMAError) as error:
        raise _damaged(name, error) from error


def _damaged(name: str, reason: object) -> DataError:
    return DataError(f"{name} is damaged or cut off: {reason}; get the file again")
