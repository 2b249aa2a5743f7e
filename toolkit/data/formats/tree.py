"""Files by their names, on a disk or in an archive: one shape for both, so that one set of rules sorts them."""

from __future__ import annotations

__all__ = ["DiskStore", "Folder", "FoundFile", "PictureStore", "is_hidden"]

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from toolkit.errors import DataError
from toolkit.regular_file import open_regular, printable_name

if TYPE_CHECKING:
    from toolkit.imaging.decode import ImageHeader

IGNORED_NAMES = ("__MACOSX", "__pycache__")


class FoundFile(NamedTuple):
    """A file by its name.

    Attributes:
        name: the last part of its path.
        place: its number in the store.
        problem: why it cannot be read, such as "is a link"; empty where nothing speaks against it.
    """

    name: str
    place: int
    problem: str = ""


class Folder:
    """A folder's names, hidden ones left out.

    Attributes:
        name: the last part of its path.
        title: what it is called in messages.
        files: what is no folder; of an archive only what a data set may consist of.
        folders: by name.
        hidden: names of hidden files.
    """

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.files: list[FoundFile] = []
        self.folders: dict[str, Folder] = {}
        self.hidden: list[str] = []


class PictureStore(ABC):
    """Where files lie, each with a number; read as often as is asked for, nothing is written anywhere.

    Attributes:
        words: where its files are, such as " in a ZIP archive"; empty for a folder.
        root: its names.
        notes: what is left out or taken otherwise than it stands there, as the ends of sentences.
        headers: of pictures, by their numbers, where these were read with the names; or what is wrong with one.
    """

    words: str
    root: Folder
    notes: tuple[str, ...] = ()
    headers: Mapping[int, ImageHeader | DataError] = MappingProxyType({})

    @abstractmethod
    def title(self, place: int) -> str:
        """Return what a file is called in messages."""

    @abstractmethod
    def read(self, places: Sequence[int]) -> Iterator[tuple[int, bytes | str]]:
        """Yield files once each, in the store's own order: the position in `places`, and bytes or a path on the disk.

        Raises:
            DataError: a file is damaged or too large; it is named.
        """

    @abstractmethod
    def open(self, place: int) -> AbstractContextManager[BinaryIO]:
        """Open one file that holds many pictures.

        Raises:
            DataError: it is damaged, or in an archive and too large to be held.
        """


class DiskStore(PictureStore):
    """Files of a folder on the disk, listed where they are asked for; none is opened before it is read.

    Args:
        folder: its path.
    """

    words = ""

    def __init__(self, folder: Path) -> None:
        self._paths: list[str] = []
        self.root: Folder = _DiskFolder(str(folder), self)

    def add(self, path: str) -> int:
        """Return the number of one more file."""
        self._paths.append(path)
        return len(self._paths) - 1

    def path(self, place: int) -> Path:
        """Return where a file lies."""
        return Path(self._paths[place])

    def title(self, place: int) -> str:
        """Return the path, as text that can be printed."""
        return printable_name(self._paths[place])

    def read(self, places: Sequence[int]) -> Iterator[tuple[int, bytes | str]]:
        """Yield the paths."""
        yield from ((position, self._paths[place]) for position, place in enumerate(places))

    def open(self, place: int) -> AbstractContextManager[BinaryIO]:
        """Open one file."""
        return open_regular(self._paths[place])


class _DiskFolder(Folder):
    """A folder that is listed at the first question: one that leads in a circle is entered no further than asked."""

    def __init__(self, path: str, store: DiskStore) -> None:
        self.name = os.path.basename(path)  # noqa: PTH119 - text in, text out
        self.title = printable_name(path)
        self._path = path
        self._store = store

    @cached_property
    def _listed(self) -> tuple[list[FoundFile], dict[str, Folder], list[str]]:
        try:
            with os.scandir(self._path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{self.title} cannot be listed: {error.strerror or error}") from error
        files: list[FoundFile] = []
        folders: dict[str, Folder] = {}
        hidden: list[str] = []
        for entry in found:
            problem = _judge(entry)
            if is_hidden(entry.name):
                hidden += [] if problem is None else [entry.name]
            elif problem is None:
                folders[entry.name] = _DiskFolder(entry.path, self._store)
            else:
                files.append(FoundFile(entry.name, self._store.add(entry.path), problem))
        return files, folders, hidden

    @property
    def files(self) -> list[FoundFile]:  # type: ignore[override]  # listed when it is asked for
        return self._listed[0]

    @property
    def folders(self) -> dict[str, Folder]:  # type: ignore[override]
        return self._listed[1]

    @property
    def hidden(self) -> list[str]:  # type: ignore[override]
        return self._listed[2]


def is_hidden(name: str) -> bool:
    """Say whether a file or folder is not meant to be seen: by its dot, or as a program's own."""
    return name.startswith(".") or name in IGNORED_NAMES


def _judge(entry: os.DirEntry[str]) -> str | None:
    """Return what is wrong with a file; None for a folder."""
    try:
        if entry.is_file(follow_symlinks=False):
            return ""
        mode = entry.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if stat.S_ISDIR(mode):
        return None
    return "" if stat.S_ISREG(mode) else "is not a regular file and was not opened"
