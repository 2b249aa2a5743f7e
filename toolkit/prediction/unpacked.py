"""Packed files as streams of plain bytes: gzip, bzip2 and xz, in bounded memory, against a budget."""

from __future__ import annotations

__all__ = ["open_unpacked"]

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from toolkit.errors import DataError
from toolkit.prediction.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.prediction.unpack_budget import UnpackBudget

CHUNK_BYTES = 1 << 18
# xz -9 needs 65 MiB to unpack; a header can ask for 4 GiB.
MAX_XZ_BYTES = 192 << 20


def open_unpacked(stream: BinaryIO, kind: Kind, *, name: str, budget: UnpackBudget) -> BinaryIO:
    """Return a buffered stream of a packed archive's plain bytes; one that is not packed is returned as it is.

    Reading it raises DataError where the data are damaged, cut off, or more than the budget allows.

    Args:
        stream: the file.
        kind: what it is.
        name: what it is called in messages.
        budget: what may come out.
    """
    if kind == Kind.TAR:
        return stream
    if kind == Kind.TAR_XZ:
        plain = _unpack_xz(stream)
    elif kind == Kind.TAR_BZIP2:
        import bz2

        plain = _read_pieces(cast("BinaryIO", bz2.BZ2File(stream)))
    else:
        import gzip

        plain = _read_pieces(cast("BinaryIO", gzip.GzipFile(fileobj=stream)))
    return io.BufferedReader(_PieceStream(plain, name=name, budget=budget), CHUNK_BYTES)


class _PieceStream(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes], *, name: str, budget: UnpackBudget) -> None:
        self._pieces = pieces
        self._name = name
        self._budget = budget
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives one
        if not self._rest:
            self._rest = memoryview(self._next_piece())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next_piece(self) -> bytes:
        try:
            piece = next(self._pieces, b"")
        except (DataError, MemoryError):
            raise
        except Exception as error:  # three decompressors, three families of errors
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{self._name} is damaged or cut off: {reason}; get the file again") from error
        self._budget.spend(len(piece))
        return piece


def _read_pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(CHUNK_BYTES):
        yield piece


def _unpack_xz(stream: BinaryIO) -> Iterator[bytes]:
    """Unpack one xz stream after another; LZMAFile would do so without a limit on memory."""
    import lzma

    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)
    while True:
        packed = b""
        if decompressor.eof:
            packed = decompressor.unused_data.lstrip(b"\0") or stream.read(CHUNK_BYTES).lstrip(b"\0")
            if not packed:
                return
            decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)
        elif decompressor.needs_input and not (packed := stream.read(CHUNK_BYTES)):
            raise EOFError("its xz data end too early")
        if piece := decompressor.decompress(packed, CHUNK_BYTES):
            yield piece
