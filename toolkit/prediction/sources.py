"""Paths in, samples out: image files, folders, IDX and NPY arrays; what cannot be used is reported, not raised."""

from __future__ import annotations

__all__ = ["open_sources"]

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError
from toolkit.imaging.decode import IMAGE_ENDINGS, decode_image
from toolkit.imaging.prepare import prepare_image
from toolkit.prediction.folders import walk_folder
from toolkit.prediction.kinds import is_idx
from toolkit.prediction.names import printable_path
from toolkit.prediction.rows import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from toolkit.card import InputSpec

    OnNote = Callable[[str], None]

NPY_MAGIC = b"\x93NUMPY"
GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
HEAD_BYTES = 8
ENDINGS = " ".join(IMAGE_ENDINGS)


def open_sources(paths: Iterable[Path], spec: InputSpec, *, on_note: OnNote | None = None) -> Iterator[Sample]:
    """Yield every image of every source, in order, ready for the model; nothing is opened before it is asked for.

    A path that is given is an image, an IDX file (gzip or not) or an NPY file by its content. A folder gives the files
    in it with an image's ending, sorted, subfolders included. Whatever cannot be used is one sample without an image.

    Args:
        paths: files and folders.
        spec: what the model takes.
        on_note: called with one sentence about what was left out on purpose.
    """
    for path in paths:
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield _failed(path, f"cannot read {printable_path(path)}: {reason or error}")
            continue
        if stat.S_ISDIR(mode):
            yield from _open_folder(path, spec, on_note=on_note)
        elif stat.S_ISREG(mode):
            yield from _open_file(path, spec)
        else:
            yield _failed(path, f"{printable_path(path)} is not a regular file; expected an image, IDX or NPY file")


def _open_folder(folder: Path, spec: InputSpec, *, on_note: OnNote | None) -> Iterator[Sample]:
    found = skipped = 0
    for entry in walk_folder(folder):
        if entry.problem:
            yield _failed(entry.path, f"{printable_path(entry.path)} {entry.problem}")
        elif entry.path.suffix.lower() in IMAGE_ENDINGS:
            found += 1
            yield _open_image(entry.path, spec)
        else:
            skipped += 1
    if not found:
        yield _failed(folder, f"{printable_path(folder)} holds no image; expected files ending in {ENDINGS}")
    elif skipped and on_note is not None:
        on_note(f"{printable_path(folder)}: {skipped} files left out, their names do not end in {ENDINGS}")


def _open_file(path: Path, spec: InputSpec) -> Iterator[Sample]:
    try:
        array = _open_array(path)
        if array is None:
            yield _open_image(path, spec)
        else:
            from toolkit.prediction.arrays import iterate_array

            yield from iterate_array(array, spec, source=printable_path(path))
    except DataError as error:
        yield _failed(path, str(error))


def _open_array(path: Path) -> npt.NDArray[Any] | None:
    """Return the array of an NPY or IDX file, judged by its first bytes; None where it can only be an image."""
    head = _read_head(path)
    # toolkit.data is imported for arrays only: one PNG must not pay for it.
    if path.suffix.lower() == ".npy" or head.startswith(NPY_MAGIC):
        from toolkit.prediction.arrays import open_npy

        return open_npy(path)
    if head.startswith(ZIP_MAGIC):
        raise DataError(f"{printable_path(path)} is a ZIP or NPZ archive; save one array with numpy.save instead")
    if head.startswith(GZIP_MAGIC) or is_idx(head):
        from toolkit.data.idx import read_idx

        return read_idx(path, ranks=(3, 4), name=printable_path(path))
    return None


def _open_image(path: Path, spec: InputSpec) -> Sample:
    source = printable_path(path)
    try:
        decoded = decode_image(path, name=source)
        image, note = prepare_image(decoded.pixels, spec)
    except DataError as error:
        return _failed(path, str(error))
    return Sample(source=source, index=0, image=image, message="; ".join(filter(None, (*decoded.notes, note))))


def _read_head(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(HEAD_BYTES) or b""
    except OSError as error:
        raise DataError(f"cannot read {printable_path(path)}: {error.strerror or error}") from error


def _failed(path: Path, reason: str) -> Sample:
    return Sample(source=printable_path(path), index=0, image=None, message=" ".join(reason.split()))
