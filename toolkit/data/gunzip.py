"""Bytes that may be gzip: unpacked as they come, never more than the reader asks for."""

from __future__ import annotations

__all__ = ["ChunkReader", "cap_chunks", "read_chunks", "unpack_chunks"]

import itertools
import zlib
from typing import TYPE_CHECKING

from toolkit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 18
GZIP_WINDOW_BITS = 31


class ChunkReader:
    """A stream of chunks, read by counts; it takes no more chunks than a read needs.

    Args:
        chunks: the bytes, in pieces of any size.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer only where the stream ends."""
        return bytes(self.take(count))

    def take(self, count: int) -> bytearray:
        """Return the next `count` bytes in a buffer of the caller's own; fewer only where the stream ends."""
        while len(self._buffer) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._buffer += chunk
        rest = self._buffer[count:]
        del self._buffer[count:]
        taken, self._buffer = self._buffer, rest
        return taken


def read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a binary stream in chunks."""
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def cap_chunks(chunks: Iterable[bytes], *, limit: int, name: str, state: str = "") -> Iterator[bytes]:
    """Yield chunks as they come, as long as they hold at most `limit` bytes together.

    Args:
        chunks: the stream.
        limit: the most bytes that may come.
        name: what the stream is called in messages.
        state: what is added to the count in messages, such as "when unpacked".

    Raises:
        DataError: more than `limit` bytes come.
    """
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise DataError(f"{name} holds more than {limit} bytes{state and f' {state}'}; expected at most that")
        yield chunk


def unpack_chunks(chunks: Iterable[bytes], *, limit: int, name: str) -> Iterator[bytes]:
    """Yield plain bytes of a stream that is gzip or not, judged by its first two bytes and not by its name.

    Args:
        chunks: the stream.
        limit: the most plain bytes that may come.
        name: what the stream is called in messages.

    Raises:
        DataError: more than `limit` bytes come, or the gzip data is truncated, damaged, of several members or
            followed by other bytes.
    """
    iterator = iter(chunks)
    head = b""
    while len(head) < len(GZIP_MAGIC) and (chunk := next(iterator, None)) is not None:
        head += chunk
    whole = itertools.chain([head], iterator)
    plain = _inflate(whole, name) if head.startswith(GZIP_MAGIC) else whole
    yield from cap_chunks(plain, limit=limit, name=name, state="when unpacked")


def _inflate(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=GZIP_WINDOW_BITS)
    for chunk in chunks:
        if inflater.eof:
            _refuse_rest(chunk, name)
        yield from _inflate_chunk(inflater, chunk, name)
        if inflater.unused_data:
            _refuse_rest(inflater.unused_data, name)
    if not inflater.eof:
        raise DataError(f"{name} is truncated: its gzip data ends too early; get the file again")


def _inflate_chunk(inflater: zlib._Decompress, chunk: bytes, name: str) -> Iterator[bytes]:
    pending = chunk
    while pending and not inflater.eof:
        try:
            piece = inflater.decompress(pending, CHUNK_BYTES)
        except zlib.error as error:
            raise DataError(f"{name} is damaged gzip data: {error}; get the file again") from error
        if piece:
            yield piece
        pending = inflater.unconsumed_tail


def _refuse_rest(rest: bytes, name: str) -> None:
    if rest.startswith(GZIP_MAGIC):
        raise DataError(f"{name} has several gzip members; expected one: unpack it and pack it again")
    raise DataError(f"{name} has trailing bytes after its gzip data; get the file again")
