"""Patterns such as `scans/**/*.png`, for whoever quotes them; expanded lazily, in the order of a folder's listing."""

from __future__ import annotations

__all__ = ["expand_glob", "is_glob"]

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from toolkit.prediction.sources.listing import IS_FOLDER, Folder

ANY_DEPTH = "**"
MAGIC = re.compile(r"[*?\[]")


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
    return _walk(top, matcher) if os.path.isdir(top) else iter(())  # noqa: PTH112


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


def _walk(top: str, matcher: _Matcher) -> Iterator[str]:
    open_folders = [(Folder(top), matcher.start)]
    while open_folders:
        folder, state = open_folders[-1]
        if folder.problem:
            yield folder.path
        for name in folder.names:
            reached = matcher.step(state, name)
            if matcher.is_end(reached):
                yield folder.prefix + name
            elif reached and folder.others.get(name) == IS_FOLDER:
                open_folders.append((Folder(folder.prefix + name), reached))
                break
        else:
            open_folders.pop()
