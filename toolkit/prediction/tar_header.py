"""One header of a tar archive: 512 bytes. tarfile reads the same in 20 microseconds, more than a small picture takes.

Source of the format: POSIX.1-2017, pax, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

__all__ = ["BLOCK_BYTES", "TarHeader", "is_header", "parse_header"]

from typing import NamedTuple

BLOCK_BYTES = 512
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
    if kind == OLD_FILE:
        kind = FOLDER if name.endswith(b"/") else FILE
    return TarHeader(name.decode("utf-8", "surrogateescape"), size, kind)


def _parse_number(field: bytes) -> int:
    """Return an octal number, or one in base 256 where its first bit is set."""
    if field[0] & BASE_256:
        return int.from_bytes(field[1:], "big") if field[0] == BASE_256 else -1
    return int(field.partition(b"\0")[0].strip() or b"0", 8)
