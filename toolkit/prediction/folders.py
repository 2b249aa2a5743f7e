"""A folder's files, sorted, without following anything that could lead in circles or wait for ever."""

from __future__ import annotations

__all__ = ["FolderEntry", "walk_folder"]

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class FolderEntry(NamedTuple):
    """A file, or what stands in its place.

    Attributes:
        path: where it lies, beginning with the folder as it was given.
        problem: empty for a regular file; else the end of a sentence that begins with the path.
    """

    path: Path
    problem: str = ""


def walk_folder(folder: Path) -> Iterator[FolderEntry]:
    """Yield the entries of a folder and its subfolders, depth first, sorted by name; no file is opened.

    Links to regular files count as files. Links to folders are not followed, so there are no circles. Links to nothing,
    FIFOs, sockets, devices and folders that cannot be listed come with their problem.
    """
    waiting = [FolderEntry(folder)]
    while waiting:
        entry = waiting.pop()
        if entry.problem or not _is_real_folder(entry.path, top=folder):
            yield entry
            continue
        try:
            names = sorted(os.listdir(entry.path), reverse=True)  # noqa: PTH208 - names sort as one sees them
        except OSError as error:
            yield FolderEntry(entry.path, f"cannot be listed: {error.strerror}")
            continue
        waiting.extend(_judge(entry.path / name) for name in names)


def _is_real_folder(path: Path, *, top: Path) -> bool:
    return path is top or (path.is_dir() and not path.is_symlink())


def _judge(path: Path) -> FolderEntry:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) and path.is_symlink():
            return FolderEntry(path, "is a link to a folder, which is not followed; give that folder itself")
    except OSError as error:
        return FolderEntry(path, f"cannot be read: {error.strerror}")
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return FolderEntry(path)
    return FolderEntry(path, "is not a regular file and was not opened")
