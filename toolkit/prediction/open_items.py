"""Inputs to items: what each one is, judged by its content; what cannot be used is reported, not raised."""

from __future__ import annotations

__all__ = ["open_items", "recognise"]

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.data.gunzip import ChunkReader, read_chunks, unpack_chunks
from toolkit.errors import DataError
from toolkit.imaging.decode import IMAGE_ENDINGS
from toolkit.prediction.folders import walk_folder
from toolkit.prediction.globs import expand_glob
from toolkit.prediction.items import ImageItem, failed_item
from toolkit.prediction.name_list import read_names
from toolkit.prediction.names import printable_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from toolkit.prediction.items import Item, OnNote

STDIN = Path("-")
NPY_MAGIC = b"\x93NUMPY"
GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
TAR_PACKED_MAGICS = (b"BZh", b"\xfd7zXZ\0")
PARQUET_MAGIC = b"PAR1"
IDX_MAGIC = b"\0\0"
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
HEAD_BYTES = 512
ENDINGS = " ".join(IMAGE_ENDINGS)


def open_items(
    inputs: Iterable[Path], *, on_note: OnNote = lambda _: None, stdin: BinaryIO | None = None
) -> Iterator[Item]:
    """Yield what every input holds, in order; nothing is opened before it is asked for.

    An input is a file, a folder (its files with an image's ending, sorted, subfolders included), a glob that no file is
    called like, or `-` for names on standard input, one a line or ended by NUL. A file is an image, a ZIP or TAR
    archive, an IDX, NPY, NPZ or Parquet file by its content. The same inputs yield the same items.

    Args:
        inputs: what was asked for.
        on_note: called with one sentence about what was left out on purpose.
        stdin: where `-` reads.

    Raises:
        ResourceError: a package that an input needs is not installed.
    """
    for given in inputs:
        if given != STDIN:
            yield from _open_input(given, on_note=on_note)
        elif stdin is None:
            yield failed_item("-", "standard input is closed; expected names of files")
        else:
            for name in read_names(stdin):
                item = _open_input(Path(name), on_note=on_note) if name != "-" else [failed_item("-", "- inside -")]
                yield from item


def recognise(path: Path) -> str:
    """Return what a regular file is by its first bytes: `npy`, `npz`, `zip`, `tar`, `idx`, `parquet` or `image`.

    Raises:
        DataError: it cannot be read.
    """
    head = _read_head(path)
    if path.suffix.lower() == ".npy" or head.startswith(NPY_MAGIC):
        return "npy"
    if head.startswith(ZIP_MAGICS):
        return "npz" if path.suffix.lower() == ".npz" else "zip"
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    if head.startswith(GZIP_MAGIC):
        return "tar" if _is_tar(_unpack_head(path)) else "idx"
    if head.startswith(TAR_PACKED_MAGICS) or _is_tar(head):
        return "tar"
    return "idx" if head.startswith(IDX_MAGIC) else "image"


def _open_input(path: Path, *, on_note: OnNote) -> Iterator[Item]:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        matches = expand_glob(path)
        if matches is None:
            yield failed_item(printable_path(path), f"cannot read {printable_path(path)}: {reason or error}")
        elif not matches:
            yield failed_item(printable_path(path), f"nothing is called like {printable_path(path)}")
        else:
            for match in matches:
                yield from _open_input(match, on_note=on_note)
        return
    if stat.S_ISDIR(mode):
        yield from _open_folder(path, on_note=on_note)
    elif stat.S_ISREG(mode):
        yield from _open_file(path, on_note=on_note)
    else:
        name = printable_path(path)
        yield failed_item(name, f"{name} is not a regular file; expected an image, an archive or an array")


def _open_folder(folder: Path, *, on_note: OnNote) -> Iterator[Item]:
    found = skipped = 0
    for path, problem in walk_folder(str(folder)):
        if problem:
            yield failed_item(printable_path(path), f"{printable_path(path)} {problem}")
        elif path.lower().endswith(IMAGE_ENDINGS):
            found += 1
            yield ImageItem(printable_path(path), 0, path)
        else:
            skipped += 1
    name = printable_path(folder)
    if not found:
        yield failed_item(name, f"{name} holds no image; expected files ending in {ENDINGS}")
    elif skipped:
        on_note(f"{name}: {skipped} files left out, their names do not end in {ENDINGS}")


def _open_file(path: Path, *, on_note: OnNote) -> Iterator[Item]:
    try:
        kind = recognise(path)
        if kind == "image":
            yield ImageItem(printable_path(path), 0, str(path))
        elif kind in {"npy", "npz", "idx"}:
            yield from _open_arrays(path, kind, on_note=on_note)
        else:
            yield from _open_container(path, kind, on_note=on_note)
    except DataError as error:
        yield failed_item(printable_path(path), error)


def _open_arrays(path: Path, kind: str, *, on_note: OnNote) -> Iterator[Item]:
    # Imported for arrays only: one PNG must not pay for it.
    from toolkit.prediction.arrays import iterate_idx, iterate_npy, iterate_npz

    if kind == "npz":
        yield from iterate_npz(path, on_note=on_note)
    else:
        yield from (iterate_npy if kind == "npy" else iterate_idx)(path)


def _open_container(path: Path, kind: str, *, on_note: OnNote) -> Iterator[Item]:
    if kind == "parquet":
        from toolkit.prediction.parquet_items import iterate_parquet

        yield from iterate_parquet(path)
        return
    from toolkit.prediction.archives import iterate_tar, iterate_zip

    yield from (iterate_zip if kind == "zip" else iterate_tar)(path, on_note=on_note)


def _read_head(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(HEAD_BYTES) or b""
    except OSError as error:
        raise DataError(f"cannot read {printable_path(path)}: {error.strerror or error}") from error


def _unpack_head(path: Path) -> bytes:
    """Return the first bytes inside a gzip file; whatever is wrong with it is found by who reads on."""
    try:
        with path.open("rb") as stream:
            chunks = unpack_chunks(read_chunks(stream), limit=1 << 40, name=printable_path(path))
            return ChunkReader(chunks).read(HEAD_BYTES)
    except (DataError, OSError):
        return b""


def _is_tar(head: bytes) -> bool:
    return head[TAR_MAGIC_AT : TAR_MAGIC_AT + len(TAR_MAGIC)] == TAR_MAGIC
