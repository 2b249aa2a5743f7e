"""Files on disk that one name stands for: a folder's, searched through and sorted, or those that match a pattern.

At the speed of the file system, held name by name, without following anything that could lead in circles. Patterns,
such as `scans/**/*.png`, are for whoever quotes them.
"""

from __future__ import annotations

__all__ = ["expand_glob", "is_glob", "iterate_folder", "list_folder"]

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from toolkit.imaging.endings import IMAGE_ENDINGS, LeftOut, is_image_name
from toolkit.prediction.sources.items import ImageItem
from toolkit.progress import OnNote
from toolkit.regular_file import printable_name

ENDINGS = " ".join(IMAGE_ENDINGS)
IS_FOLDER = "is a folder"
ANY_DEPTH = "**"
MAGIC = re.compile(r"[*?\[]")


def iterate_folder(folder: str, *, on_note: OnNote | None = None) -> Iterator[ImageItem]:
    """Yield a folder's images, subfolders included, in the order of `list_folder`; no file is opened.

    What is no regular file is an item without content; a folder without any image is one such item.

    Args:
        folder: its path.
        on_note: called with one sentence about the files that were left out.
    """
    found = problems = 0
    left_out = LeftOut()
    for path, problem in list_folder(folder):
        if problem:
            problems += 1
            source = printable_name(path)
            yield ImageItem(source, 0, None, f"{source} {problem}")
        elif is_image_name(path):
            found += 1
            yield ImageItem(path if path.isascii() else printable_name(path), 0, path)
        else:
            left_out.add(path)
    name = printable_name(folder)
    if not found and not problems:
        if left_out.num_pictures:
            reason = f"{name} holds no image that is read, but {left_out}{left_out.step}"
        else:
            reason = f"{name} holds no image; expected files ending in {ENDINGS}"
        yield ImageItem(name, 0, None, reason)
    elif left_out and on_note is not None:
        on_note(f"{name}: left out {left_out}{left_out.step}")


def list_folder(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder and its subfolders as (path, problem), depth first, sorted by name.

    Links to regular files count as files, without a problem. Links to folders are not followed, so there are no
    circles. Links to nothing, FIFOs, sockets, devices and folders that cannot be listed come with their problem, the
    end of a sentence that begins with the path. A folder's names are held while it is gone through, nothing else.
    """
    open_folders = [_Folder(folder)]
    while open_folders:
        current = open_folders[-1]
        if current.problem:
            yield current.path, current.problem
        prefix, others = current.prefix, current.others
        for name in current.names:
            if not others or name not in others:
                yield prefix + name, ""
            elif others[name] is IS_FOLDER:
                open_folders.append(_Folder(prefix + name))
                break
            else:
                yield prefix + name, others[name]
        else:
            open_folders.pop()


def is_glob(path: str) -> bool:
    """Say whether a path is a pattern: it has `*`, `?` or `[`, and nothing of that very name exists."""
    return MAGIC.search(path) is not None and "\0" not in path and not os.path.lexists(path)


def expand_glob(pattern: str) -> Iterator[str]:
    """Yield the files and folders that match; what lies in a folder that matches is not matched again.

    `*`, `?` and `[...]` stay within a name, `**` stands for any number of folders. A name that begins with a dot is
    matched only by a part that begins with one. Links to folders are not followed. A folder that cannot be listed is
    yielded, so that it is reported.

    Args:
        pattern: has a part with `*`, `?` or `[`; the parts before it are taken literally.
    """
    parts = Path(pattern).parts
    first = next(number for number, part in enumerate(parts) if MAGIC.search(part))
    top = str(Path(*parts[:first]))
    matcher = _Matcher(parts[first:])
    if matcher.is_end(matcher.start):
        return iter([top]) if os.path.isdir(top) else iter(())  # noqa: PTH112 - text in, text out
    return _walk_matches(top, matcher) if os.path.isdir(top) else iter(())  # noqa: PTH112


class _Folder:
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


def _walk_matches(top: str, matcher: _Matcher) -> Iterator[str]:
    open_folders = [(_Folder(top), matcher.start)]
    while open_folders:
        folder, state = open_folders[-1]
        if folder.problem:
            yield folder.path
        for name in folder.names:
            reached = matcher.step(state, name)
            if matcher.is_end(reached):
                yield folder.prefix + name
            elif reached and folder.others.get(name) == IS_FOLDER:
                open_folders.append((_Folder(folder.prefix + name), reached))
                break
        else:
            open_folders.pop()


class _Matcher:
    """Follows a path part by part.

    A position is the number of pattern parts that are matched, a state is a set of positions.

    Attributes:
        start: the state before the first part.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._end = len(parts)
        self._rules = [None if part == ANY_DEPTH else re.compile(fnmatch.translate(part)).match for part in parts]
        self._takes_hidden = [part.startswith(".") for part in parts]
        self.start = self._close({0})

    def step(self, state: frozenset[int], name: str) -> frozenset[int]:
        """Return the state after one more name; empty where nothing can match any more."""
        is_hidden = name.startswith(".")
        reached: set[int] = set()
        for position in state:
            if position == self._end or (is_hidden and not self._takes_hidden[position]):
                continue
            rule = self._rules[position]
            if rule is None:
                reached.add(position)
            elif rule(name):
                reached.add(position + 1)
        return self._close(reached) if reached else frozenset()

    def is_end(self, state: frozenset[int]) -> bool:
        """Say whether the whole pattern is matched."""
        return self._end in state

    def _close(self, positions: set[int]) -> frozenset[int]:
        """Add what is reached by `**` standing for nothing."""
        closed = set(positions)
        for position in positions:
            place = position
            while place < self._end and self._rules[place] is None:
                place += 1
                closed.add(place)
        return frozenset(closed)
