"""A folder's files, sorted, at the speed of the file system, without following anything that could lead in circles."""

from __future__ import annotations

__all__ = ["Folder", "is_image_name", "iterate_folder", "list_folder"]

import os
import stat
from collections.abc import Iterator

from toolkit.imaging.decode import IMAGE_ENDINGS
from toolkit.prediction.sources.items import ImageItem
from toolkit.progress import OnNote
from toolkit.regular_file import printable_name

ENDINGS = " ".join(IMAGE_ENDINGS)
LONGEST_ENDING = max(map(len, IMAGE_ENDINGS))
# macOS keeps the attributes of x.png beside it in ._x.png, which is no picture.
APPLE_PREFIX = "._"
IS_FOLDER = "is a folder"


def is_image_name(path: str) -> bool:
    """Say whether the path of a file or a member ends like an image's and is not macOS's shadow of one."""
    if not path[-LONGEST_ENDING:].lower().endswith(IMAGE_ENDINGS):
        return False
    return APPLE_PREFIX not in path or not path.replace("\\", "/").rpartition("/")[2].startswith(APPLE_PREFIX)


def iterate_folder(folder: str, *, on_note: OnNote | None = None) -> Iterator[ImageItem]:
    """Yield a folder's images, subfolders included, in the order of `list_folder`; no file is opened.

    What is no regular file is an item without content; a folder without any image is one such item.

    Args:
        folder: its path.
        on_note: called with one sentence about the files that were left out.
    """
    found = problems = skipped = 0
    for path, problem in list_folder(folder):
        if problem:
            problems += 1
            source = printable_name(path)
            yield ImageItem(source, 0, None, f"{source} {problem}")
        elif is_image_name(path):
            found += 1
            yield ImageItem(path if path.isascii() else printable_name(path), 0, path)
        else:
            skipped += 1
    name = printable_name(folder)
    if not found and not problems:
        yield ImageItem(name, 0, None, f"{name} holds no image; expected files ending in {ENDINGS}")
    elif skipped and on_note is not None:
        on_note(f"{name}: {skipped} files left out, their names do not end in {ENDINGS}")


def list_folder(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder and its subfolders as (path, problem), depth first, sorted by name.

    Links to regular files count as files, without a problem. Links to folders are not followed, so there are no
    circles. Links to nothing, FIFOs, sockets, devices and folders that cannot be listed come with their problem, the
    end of a sentence that begins with the path. A folder's names are held while it is gone through, nothing else.
    """
    open_folders = [Folder(folder)]
    while open_folders:
        current = open_folders[-1]
        if current.problem:
            yield current.path, current.problem
        prefix, others = current.prefix, current.others
        for name in current.names:
            if not others or name not in others:
                yield prefix + name, ""
            elif others[name] is IS_FOLDER:
                open_folders.append(Folder(prefix + name))
                break
            else:
                yield prefix + name, others[name]
        else:
            open_folders.pop()


class Folder:
    """A folder's names, to be gone through once, and what is not simply a file.

    Attributes:
        path: as it was given.
        prefix: what stands before the names.
        names: sorted, each once.
        others: what to say of a name; empty for a link to a file, `IS_FOLDER` for a folder.
        problem: why there are no names.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.prefix = "" if path == os.curdir else os.path.join(path, "")  # noqa: PTH118 - no Path for every file
        self.others: dict[str, str] = {}
        self.problem = ""
        names: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if not entry.is_file(follow_symlinks=False):
                        self.others[entry.name] = _judge(entry)
        except OSError as error:
            self.problem = f"cannot be listed: {error.strerror}"
            names = []
        names.sort()
        self.names = iter(names)


def _judge(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir(follow_symlinks=False):
            return IS_FOLDER
        mode = entry.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "is a link to a folder, which is not followed; give that folder itself"
    return "" if stat.S_ISREG(mode) else "is not a regular file and was not opened"
