"""What a file is, judged by its first bytes and not by its name."""

from __future__ import annotations

__all__ = ["ARRAY_KINDS", "HEAD_BYTES", "Kind", "is_idx", "is_picture", "judge_file", "judge_head"]

import enum
import zlib

from toolkit.regular_file import open_regular

HEAD_BYTES = 1024
GZIP_WINDOW_BITS = 31
IDX_MAGIC = b"\0\0"
IDX_ELEMENT_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"
NPY_ENDING = ".npy"


class Kind(enum.Enum):
    """What a file is taken for; `IMAGE` too where it is nothing else that is known: the decoder says what it is not.

    An array in gzip has a kind of its own: one that lies plain is mapped. A tar archive has not.
    """

    IMAGE = enum.auto()
    NPY = enum.auto()
    IDX = enum.auto()
    PACKED_ARRAY = enum.auto()
    ZIP = enum.auto()
    TAR = enum.auto()
    PARQUET = enum.auto()


ARRAY_KINDS = {Kind.NPY, Kind.IDX, Kind.PACKED_ARRAY}
IMAGE_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
PNM_KINDS, SPACE = b"123456", b" \t\r\n#"
MAGICS = {
    b"\x93NUMPY": Kind.NPY,
    b"PK\3\4": Kind.ZIP,
    b"PK\5\6": Kind.ZIP,  # an empty one
    b"PAR1": Kind.PARQUET,
    b"BZh": Kind.TAR,
    b"\xfd7zXZ\0": Kind.TAR,
}
GZIP_MAGIC = b"\x1f\x8b"


def judge_file(path: str) -> Kind:
    """Return what a file is; one that is called `.npy` is always taken for what its name says.

    Raises:
        DataError: it is no regular file, or cannot be read.
    """
    with open_regular(path) as stream:
        kind = judge_head(stream.read(HEAD_BYTES))
    return Kind.NPY if kind == Kind.IMAGE and path.lower().endswith(NPY_ENDING) else kind


def judge_head(head: bytes) -> Kind:
    """Return what a file is.

    Args:
        head: its first `HEAD_BYTES` bytes, or all of them.
    """
    if head.startswith(IMAGE_MAGICS):
        return Kind.IMAGE
    if head.startswith(GZIP_MAGIC):
        # gzip of anything else is read as an array, which names what it finds.
        return Kind.TAR if _is_tar(head, is_packed=True) else Kind.PACKED_ARRAY
    return _judge_plain(head)


def _judge_plain(head: bytes) -> Kind:
    for magic, kind in MAGICS.items():
        if head.startswith(magic):
            return kind
    if _is_tar(head):
        return Kind.TAR
    return Kind.IDX if is_idx(head) else Kind.IMAGE


def is_picture(head: bytes) -> bool:
    """Say whether a file begins as a picture does, also by a magic that other files may begin with."""
    is_pnm = head[:1] == b"P" and len(head) > 2 and head[1] in PNM_KINDS and head[2] in SPACE
    return head.startswith((*IMAGE_MAGICS, b"BM")) or is_pnm


def is_idx(head: bytes) -> bool:
    """Say whether a file begins as IDX does: two zeros and an element's type; JPEG 2000 begins with three zeros."""
    return head.startswith(IDX_MAGIC) and head[2:3] in IDX_ELEMENT_TYPES and len(head) > len(IDX_MAGIC)


def _is_tar(head: bytes, *, is_packed: bool = False) -> bool:
    # Its reader is imported for what may be one: a picture, known by its magic, must not pay for it.
    from toolkit.containers.tar import BLOCK_BYTES, is_header

    try:
        return is_header(
            zlib.decompressobj(wbits=GZIP_WINDOW_BITS).decompress(head, BLOCK_BYTES) if is_packed else head
        )
    except zlib.error:
        return False
