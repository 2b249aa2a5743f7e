"""ZIP archives, member after member: no list of all members is held, and nothing is believed of what they claim.

Python's zipfile keeps an object for every member from the moment that it opens: a million members are a gigabyte. Here
the directory is read as a stream.

Source of the format: APPNOTE.TXT 6.3.10, PKWARE, sections 4.3 to 4.5.
"""

from __future__ import annotations

__all__ = ["ZipMember", "ZipReader"]

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from toolkit.containers.unpacked import UnpackBudget
from toolkit.containers.zip_directory import find_directory, unpack_zip64
from toolkit.counts import count_of
from toolkit.errors import DataError

ENTRY_MAGIC, LOCAL_MAGIC = b"PK\1\2", b"PK\3\4"
# magic, versions, flags, method, time, date, CRC, packed, plain, lengths of name, extra and comment, disk, attributes
_ENTRY = struct.Struct("<4s6H3L5H2L")
# Fixed part of a local header. Of it only the two lengths at its end are used: the directory tells the rest, and tells
# it where a streaming writer has left zeros here.
LOCAL_BYTES = 30
ENCRYPTED, UTF8_NAME = 0x1, 0x800
STORED, DEFLATED = 0, 8
CHUNK_BYTES = 1 << 16
PLAIN_CHUNK_BYTES = 1 << 20
RAW_DEFLATE = -15  # no zlib header around it


class ZipMember(NamedTuple):
    """A member as the directory tells of it.

    Attributes:
        name: as it stands there; bytes that are no text are kept as surrogates.
        flags: bit 0: encrypted.
        method: of compression.
        crc: of the plain bytes.
        packed_bytes: its size in the archive.
        size_bytes: its plain size.
        offset: of its local header in the file.
        mode: its Unix file mode; 0 where there is none.
    """

    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder."""
        return self.name.endswith(("/", "\\"))

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class ZipReader:
    """An open ZIP archive.

    Args:
        stream: seekable; stays the caller's.
        name: what the archive is called in messages.
        budget: what may be unpacked.

    Raises:
        DataError: it has no directory, or one that lies outside the file.
    """

    def __init__(self, stream: BinaryIO, *, name: str, budget: UnpackBudget) -> None:
        self._stream = stream
        self._name = name
        self._budget = budget
        self._directory = find_directory(stream, name=name)

    def members(self) -> Iterator[ZipMember]:
        """Yield the members in the directory's order; duplicates too.

        Raises:
            DataError: the directory is damaged.
        """
        place, end, count = self._directory.start, self._directory.start + self._directory.size_bytes, 0
        buffer, used = b"", 0
        # A window slides over the directory: entries are of any length, so the last of a window is read again with the
        # next one.
        while place < end:
            entry_bytes = self._entry_bytes(buffer, used)
            if entry_bytes > len(buffer) - used:
                buffer, used = self._read_at(place, min(end - place, PLAIN_CHUNK_BYTES)), 0
                entry_bytes = self._entry_bytes(buffer, 0)
            if entry_bytes > len(buffer) - used or buffer[used : used + 4] != ENTRY_MAGIC:
                raise DataError(
                    f"{self._name} has a damaged directory after {count_of(count, 'member')}; get the file again"
                )
            yield self._parse_entry(buffer, used)
            used += entry_bytes
            place += entry_bytes
            count += 1
        # The end record of a plain ZIP counts in 16 bits: of 65,536 members it says 0, and writers leave it at that.
        if count % self._directory.modulus != self._directory.num_members:
            said = f"{count_of(count, 'member')} where its end says {self._directory.num_members}"
            raise DataError(f"{self._name} has a damaged directory: {said}; get the file again")

    def read_chunks(self, member: ZipMember, *, name: str) -> Iterator[bytes]:
        """Yield a member's plain bytes, never more than the directory says.

        Args:
            member: one of `members`.
            name: what it is called in messages.

        Raises:
            DataError: encrypted, compressed in an unknown way, damaged: another size, another CRC.
        """
        if member.flags & ENCRYPTED:
            raise DataError(f"{name} is encrypted; unpack it with its password first")
        if member.method not in {STORED, DEFLATED}:
            raise DataError(f"{name} is compressed by method {member.method}; expected deflate: pack it again")
        size = crc = 0
        for chunk in self._unpack(member, name):
            size += len(chunk)
            self._budget.spend(len(chunk))
            if size > member.size_bytes:  # a bomb, or damage: not one byte more is handed on
                break
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if size != member.size_bytes or crc != member.crc:
            raise DataError(f"{name} is damaged: its size or its checksum is not the directory's; get the file again")

    def _unpack(self, member: ZipMember, name: str) -> Iterator[bytes]:
        packed = self._read_packed(member, name)
        if member.method == STORED:
            yield from packed
            return
        inflater = zlib.decompressobj(wbits=RAW_DEFLATE)
        try:
            for piece in packed:
                pending = piece
                # A piece may stand for a thousand times its size: it is taken in steps of a bounded one.
                while pending and not inflater.eof:
                    yield inflater.decompress(pending, PLAIN_CHUNK_BYTES)
                    pending = inflater.unconsumed_tail
        except zlib.error as error:
            raise DataError(f"{name} is damaged: {error}; get the file again") from error

    def _read_packed(self, member: ZipMember, name: str) -> Iterator[bytes]:
        # Offsets count from the archive's own first byte, which is not the file's where a program stands before it.
        local = self._read_at(member.offset + self._directory.shift, LOCAL_BYTES)
        if len(local) < LOCAL_BYTES or not local.startswith(LOCAL_MAGIC):
            raise DataError(f"{name} is damaged: it is not where the directory says; get the file again")
        name_bytes, extra_bytes = struct.unpack_from("<HH", local, 26)
        place = member.offset + self._directory.shift + LOCAL_BYTES + name_bytes + extra_bytes
        left = member.packed_bytes
        while left:
            piece = self._read_at(place, min(CHUNK_BYTES, left))
            if not piece:
                return
            yield piece
            place += len(piece)
            left -= len(piece)

    def _read_at(self, place: int, count: int) -> bytes:
        try:
            self._stream.seek(place)
            return self._stream.read(count)
        except (OSError, ValueError, OverflowError) as error:
            raise DataError(f"cannot read {self._name}: {error}") from error

    @staticmethod
    def _entry_bytes(buffer: bytes, used: int) -> int:
        if len(buffer) - used < _ENTRY.size:
            return _ENTRY.size
        lengths: tuple[int, int, int] = struct.unpack_from("<HHH", buffer, used + 28)
        return _ENTRY.size + sum(lengths)

    @staticmethod
    def _parse_entry(buffer: bytes, used: int) -> ZipMember:
        fields = _ENTRY.unpack_from(buffer, used)
        flags, method, crc, packed, plain = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_end = used + _ENTRY.size + fields[10]
        name = buffer[used + _ENTRY.size : name_end]
        # Without the flag a name is in the code page of the PC of 1981, whatever the machine that reads it uses.
        text = name.decode("utf-8", "surrogateescape") if flags & UTF8_NAME or name.isascii() else name.decode("cp437")
        extra = buffer[name_end : name_end + fields[11]]
        plain, packed, offset = unpack_zip64(extra, (plain, packed, fields[16]))
        return ZipMember(text, flags, method, crc, packed, plain, offset, fields[15] >> 16)
