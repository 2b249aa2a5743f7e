"""A folder's files, sorted, without following anything that could lead in circles or wait for ever."""

from __future__ import annotations

__all__ = ["FolderEntry", "walk_folder"]

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class FolderEntry(NamedTuple):
    """A file, or what stands in its place.

    Attributes:
        path: where it lies, beginning with the folder as it was given.
        problem: empty for a regular file; else the end of a sentence that begins with the path.
    """

    path: str
    problem: str = ""


def walk_folder(folder: str) -> Iterator[FolderEntry]:
    """Yield the entries of a folder and its subfolders, depth first, sorted by name; no file is opened.

    Links to regular files count as files. Links to folders are not followed, so there are no circles. Links to nothing,
    FIFOs, sockets, devices and folders that cannot be listed come with their problem. Of a folder with a million files
    only the names are held.
    """
    levels = [_list_folder(folder)]
    while levels:
        names = levels[-1]
        if not names.waiting:
            levels.pop()
            if names.problem:
                yield FolderEntry(names.folder, names.problem)
            continue
        name = names.waiting.pop()
        path = os.path.join(names.folder, name)  # noqa: PTH118 - a Path costs more than the rest of the walk
        if name in names.plain:
            names.plain.discard(name)
            yield FolderEntry(path)
            continue
        is_folder, problem = _judge(path)
        if is_folder:
            levels.append(_list_folder(path))
        else:
            yield FolderEntry(path, problem)


class _Names:
    """One folder's names: `waiting` in falling order, `plain` those that the listing itself calls regular files."""

    __slots__ = ("folder", "plain", "problem", "waiting")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.waiting: list[str] = []
        self.plain: set[str] = set()
        self.problem = ""


def _list_folder(folder: str) -> _Names:
    names = _Names(folder)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.waiting.append(entry.name)
                if entry.is_file(follow_symlinks=False):
                    names.plain.add(entry.name)
    except OSError as error:
        names.problem = f"cannot be listed: {error.strerror}"
    names.waiting.sort(reverse=True)
    return names


def _judge(path: str) -> tuple[bool, str]:
    """Return whether a path is a folder to walk, and its problem, empty for a regular file."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - as above
        if stat.S_ISDIR(mode) and os.path.islink(path):  # noqa: PTH114 - as above
            return False, "is a link to a folder, which is not followed; give that folder itself"
    except OSError as error:
        return False, f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return True, ""
    return False, "" if stat.S_ISREG(mode) else "is not a regular file and was not opened"
