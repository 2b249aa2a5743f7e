"""What a file is, judged by its first bytes and not by its name."""

from __future__ import annotations

__all__ = ["ARRAY_KINDS", "HEAD_BYTES", "Kind", "judge_file", "judge_head"]

import enum
import zlib

from toolkit.prediction.regular_file import read_head

HEAD_BYTES = 1024
TAR_BLOCK_BYTES = 512
GZIP_WINDOW_BITS = 31
IDX_MAGIC = b"\0\0"
NPY_ENDING = ".npy"


class Kind(enum.Enum):
    """What a file is taken for; `IMAGE` too where it is nothing else that is known: the decoder says what it is not."""

    IMAGE = enum.auto()
    NPY = enum.auto()
    NPY_GZIP = enum.auto()
    IDX = enum.auto()
    IDX_GZIP = enum.auto()
    ZIP = enum.auto()
    TAR = enum.auto()
    TAR_GZIP = enum.auto()
    TAR_BZIP2 = enum.auto()
    TAR_XZ = enum.auto()
    PARQUET = enum.auto()


ARRAY_KINDS = {Kind.NPY, Kind.NPY_GZIP, Kind.IDX, Kind.IDX_GZIP}
IMAGE_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
MAGICS = {
    b"\x93NUMPY": Kind.NPY,
    b"PK\3\4": Kind.ZIP,
    b"PK\5\6": Kind.ZIP,  # an empty one
    b"PAR1": Kind.PARQUET,
    b"BZh": Kind.TAR_BZIP2,
    b"\xfd7zXZ\0": Kind.TAR_XZ,
}
IN_GZIP = {Kind.NPY: Kind.NPY_GZIP, Kind.TAR: Kind.TAR_GZIP}
GZIP_MAGIC = b"\x1f\x8b"


def judge_file(path: str) -> Kind:
    """Return what a file is; one that is called `.npy` is always taken for what its name says.

    Raises:
        DataError: it is no regular file, or cannot be read.
    """
    kind = judge_head(read_head(path, HEAD_BYTES))
    return Kind.NPY if kind == Kind.IMAGE and path.lower().endswith(NPY_ENDING) else kind


def judge_head(head: bytes) -> Kind:
    """Return what a file is.

    Args:
        head: its first `HEAD_BYTES` bytes, or all of them.
    """
    if head.startswith(IMAGE_MAGICS):
        return Kind.IMAGE
    if head.startswith(GZIP_MAGIC):
        # gzip of anything else is read as IDX, which names what it finds.
        return IN_GZIP.get(_judge_plain(_inflate_head(head)), Kind.IDX_GZIP)
    return _judge_plain(head)


def _judge_plain(head: bytes) -> Kind:
    for magic, kind in MAGICS.items():
        if head.startswith(magic):
            return kind
    if _is_tar(head):
        return Kind.TAR
    return Kind.IDX if head.startswith(IDX_MAGIC) else Kind.IMAGE


def _is_tar(head: bytes) -> bool:
    """Compare the checksum of a tar's first header, which every kind of tar has: the sum of its bytes, in octal."""
    if len(head) < TAR_BLOCK_BYTES or not head[0]:
        return False
    header = head[:TAR_BLOCK_BYTES]
    written = header[148:156].strip(b"\0 ")
    if not written.isdigit() or any(digit > ord("7") for digit in written):
        return False
    return int(written, 8) == sum(header[:148]) + 8 * ord(" ") + sum(header[156:])


def _inflate_head(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=GZIP_WINDOW_BITS).decompress(head, TAR_BLOCK_BYTES)
    except zlib.error:
        return b""
