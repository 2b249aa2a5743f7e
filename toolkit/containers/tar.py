"""tar archives as streams, packed or not: one pass, bounded memory, nothing written anywhere.

Python's tarfile keeps every member, reads a long name or a pax header of whatever size it claims, and takes 20
microseconds for a header, more than a small picture takes.

Source of the format: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; the GNU tar manual,
"Basic Tar Format".
"""

from __future__ import annotations

__all__ = ["BLOCK_BYTES", "TarHeader", "TarMember", "TarReader", "is_header", "parse_header"]

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from toolkit.counts import count_of
from toolkit.errors import DataError

CHUNK_BYTES = 1 << 18
# Long names and pax headers: names, times, attributes. Nobody needs a megabyte.
MAX_HEADER_BYTES = 1 << 20
BLOCK_BYTES = 512
END_BLOCK = bytes(BLOCK_BYTES)
# Type flags. A member of the first two lines is no file: it tells of the member that follows it (pax's `g` of all).
LONG_NAME, LONG_LINK = b"L", b"K"
PAX, OLD_PAX, GLOBAL_PAX = b"x", b"X", b"g"
HARD_LINK, LINK, CONTIGUOUS, SPARSE = b"1", b"2", b"7", b"S"
SUM_START, SUM_END = 148, 156
BASE_256 = 0x80
POSIX_MAGIC = b"ustar\0"
OLD_FILE, FILE, FOLDER = b"\0", b"0", b"5"


class TarHeader(NamedTuple):
    """What a header says.

    Attributes:
        name: bytes that are no text are kept as surrogates.
        size_bytes: of the content that follows.
        kind: the type flag, one byte.
    """

    name: str
    size_bytes: int
    kind: bytes


def is_header(block: bytes) -> bool:
    """Compare a header's checksum, the sum of its bytes in octal, the checksum's own taken as spaces."""
    if len(block) < BLOCK_BYTES or not block[0]:
        return False
    try:
        written = _parse_number(block[SUM_START:SUM_END])
    except ValueError:
        return False
    return written == sum(block[:SUM_START]) + 8 * ord(" ") + sum(block[SUM_END:BLOCK_BYTES])


def parse_header(block: bytes) -> TarHeader:
    """Parse a header whose checksum holds.

    Raises:
        ValueError: its checksum does not, or its size is no number.
    """
    if not is_header(block):
        raise ValueError("bad checksum")
    name, size, kind = block[:100], _parse_number(block[124:136]), block[156:157]
    if size < 0:
        raise ValueError(f"a size of {size} bytes")
    name = name.partition(b"\0")[0]
    # GNU's own format has times where POSIX has the beginning of a long name.
    if block[345] and block.startswith(POSIX_MAGIC, 257):
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    if kind == OLD_FILE:  # before POSIX a folder was a file whose name ends in a slash
        kind = FOLDER if name.endswith(b"/") else FILE
    return TarHeader(name.decode("utf-8", "surrogateescape"), size, kind)


def _parse_number(field: bytes) -> int:
    """Return an octal number, or one in base 256 where its first bit is set."""
    if field[0] & BASE_256:  # GNU's way to sizes of 8 GiB and more, which 11 octal digits cannot hold
        return int.from_bytes(field[1:], "big") if field[0] == BASE_256 else -1
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


class TarMember(NamedTuple):
    """A member as its headers tell of it.

    Attributes:
        name: as it stands there; bytes that are no text are kept as surrogates.
        size_bytes: of its content.
        problem: empty for a file or a folder; else what it is instead, such as "a link".
        is_folder: whether it stands for a folder.
    """

    name: str
    size_bytes: int
    problem: str
    is_folder: bool


class TarReader:
    """An open tar archive.

    Args:
        stream: the plain bytes; where it can seek, what is not asked for is not read.
        name: what the archive is called in messages.
    """

    def __init__(self, stream: BinaryIO, *, name: str) -> None:
        self._stream = stream
        self._name = name
        self._left = 0  # bytes of the current member and its padding
        self._padding = 0

    def members(self) -> Iterator[TarMember]:
        """Yield the members in order; the content of each can be read until the next one is asked for.

        Raises:
            DataError: a damaged header, or an end without its mark.
        """
        long_name, pax = "", {}
        while (header := self._read_header()) is not None:
            self._padding = -header.size_bytes % BLOCK_BYTES
            self._left = header.size_bytes
            if header.kind == LONG_NAME:
                long_name = self._read_extra().rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif header.kind in {PAX, OLD_PAX}:
                pax = _parse_pax(self._read_extra())
            elif header.kind not in {LONG_LINK, GLOBAL_PAX}:
                if pax.get("size", "").isdigit():  # the header's own field is 0 where a size does not fit into it
                    self._left = int(pax["size"])
                    self._padding = -self._left % BLOCK_BYTES
                yield _describe(header, name=pax.get("path") or long_name or header.name, pax=pax, size=self._left)
                long_name, pax = "", {}
            self._skip()
        if not self._stream.seekable():
            while self._stream.read(CHUNK_BYTES):  # a checksum of packed data stands at their end
                pass

    def read_chunks(self) -> Iterator[bytes]:
        """Yield the content of the current member.

        Raises:
            DataError: the archive ends in it.
        """
        while self._left:
            chunk = self._stream.read(min(CHUNK_BYTES, self._left))
            if not chunk:
                self._left = 0  # whoever goes on is not told a second time by this member
                raise DataError(f"{self._name} is cut off inside a member; get the file again")
            self._left -= len(chunk)
            yield chunk

    def _read_header(self) -> TarHeader | None:
        block = self._stream.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise DataError(f"{self._name} is cut off: its end mark is missing; get the file again")
        if block == END_BLOCK:  # two end an archive, but the first already cannot begin a member
            return None
        try:
            return parse_header(block)
        except ValueError as error:
            raise DataError(f"{self._name} has a damaged member header: {error}; get the file again") from error

    def _read_extra(self) -> bytes:
        if self._left > MAX_HEADER_BYTES:
            seen = f"a name or header of {count_of(self._left, 'byte')}"
            raise DataError(f"{self._name} has {seen}; the most is {MAX_HEADER_BYTES}: the rest was not opened")
        return b"".join(self.read_chunks())

    def _skip(self) -> None:
        if self._stream.seekable():
            self._stream.seek(self._left + self._padding, os.SEEK_CUR)  # past the end: the next header is missing
            self._left = self._padding = 0
            return
        for _ in self.read_chunks():
            pass
        if self._padding and len(self._stream.read(self._padding)) < self._padding:
            raise DataError(f"{self._name} is cut off inside a member; get the file again")
        self._padding = 0


def _parse_pax(body: bytes) -> dict[str, str]:
    """Return a pax header's records, `<length> <key>=<value>` and a newline each; what does not fit is left out."""
    records: dict[str, str] = {}
    while body:
        digits, _, _ = body[:24].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        if length <= len(digits) + 1:
            break
        key, _, value = body[len(digits) + 1 : length - 1].partition(b"=")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        body = body[length:]
    return records


def _describe(header: TarHeader, *, name: str, pax: dict[str, str], size: int) -> TarMember:
    problem = ""
    if header.kind in {HARD_LINK, LINK}:
        problem = "a link"
    elif header.kind == SPARSE or any(key.startswith("GNU.sparse.") for key in pax):
        problem = "a sparse file"
    elif header.kind not in {FILE, CONTIGUOUS, FOLDER}:
        problem = "no regular file"
    return TarMember(name, size, problem, header.kind == FOLDER)
