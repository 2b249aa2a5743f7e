"""ZIP and tar archives as stores of files: read in place under their readers' budgets; nothing is unpacked to disk.

A name that stands twice means its last file, as it would if the archive were unpacked. What leads out of the archive
(`../x.png`) is left out: whoever unpacks it does not get it into the folder either.
"""

from __future__ import annotations

__all__ = ["TarStore", "ZipStore", "open_archive"]

import io
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from toolkit.containers.kinds import Kind
from toolkit.containers.tar import TarReader
from toolkit.containers.unpacked import UnpackBudget, open_unpacked
from toolkit.containers.zip import ZipMember, ZipReader
from toolkit.data.formats.idx import MAX_BODY_BYTES
from toolkit.data.formats.survey import judge_header
from toolkit.data.formats.tree import Folder, FoundFile, PictureStore, is_hidden
from toolkit.errors import DataError
from toolkit.imaging.decode import ImageHeader
from toolkit.imaging.endings import is_image_name
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.regular_file import open_regular, printable_member, printable_name

# Half a gigabyte of names; whoever has more pictures than that keeps them in tables or in several archives.
MAX_MEMBERS = 1_000_000
OUTSIDE = ".."


def open_archive(path: Path, kind: Kind) -> PictureStore:
    """Return the store of an archive's files.

    Raises:
        DataError: it is damaged, or has too many members.
    """
    return ZipStore(path) if kind == Kind.ZIP else TarStore(path)


class _Archive(PictureStore):
    """What both kinds share: names sorted into folders.

    Args:
        path: a regular file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = printable_name(str(path))
        self._names: list[str] = []
        self.root = Folder(path.name, self._name)
        self._places: dict[str, int] = {}
        self._repeated = self._outside = 0
        self._list_members()
        self._places = {}  # of use while names may still come twice
        told = {
            f"names that repeat: {self._repeated}; the last of each counts, as when unpacked": self._repeated,
            f"names that lead out of it are left out: {self._outside}": self._outside,
        }
        self.notes = tuple(sentence for sentence, count in told.items() if count)

    @abstractmethod
    def _list_members(self) -> None:
        """Call `_add` for every member."""

    def title(self, place: int) -> str:
        """Return `archive!member`, with the control characters of a stranger's name written out."""
        return printable_member(str(self._path), self._names[place])

    @contextmanager
    def open(self, place: int) -> Iterator[BinaryIO]:
        """Open one member, which is held in memory: an archive cannot be read at any place."""
        ((_, content),) = self._read([place], most_bytes=MAX_BODY_BYTES)
        yield io.BytesIO(content)

    def read(self, places: Sequence[int]) -> Iterator[tuple[int, bytes | str]]:
        """Yield the members' bytes."""
        return self._read(places, most_bytes=MAX_FILE_BYTES) if places else iter(())

    @abstractmethod
    def _read(self, places: Sequence[int], *, most_bytes: int) -> Iterator[tuple[int, bytes]]: ...

    def _add(self, name: str, *, problem: str) -> None:
        """Take note of one more member that is no folder; its place is the number of those before it."""
        place = len(self._names)
        if place == MAX_MEMBERS:
            raise DataError(f"{self._name} holds more than {MAX_MEMBERS:,} files; unpack it and make it smaller")
        self._names.append(name)
        *above, last = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}] or [""]
        self._outside += OUTSIDE in above
        if not last or OUTSIDE in above or any(map(is_hidden, above)):
            return
        folder = self.root
        for depth, part in enumerate(above, start=1):
            if part not in folder.folders:
                title = printable_member(str(self._path), "/".join(above[:depth]))
                folder.folders[part] = Folder(part, title)
            folder = folder.folders[part]
        self._add_to(folder, FoundFile(last, place, problem), key="/".join((*above, last)))

    def _add_to(self, folder: Folder, file: FoundFile, *, key: str) -> None:
        if is_hidden(file.name):
            folder.hidden.append(file.name)
        elif key in self._places:
            self._repeated += 1
            folder.files[self._places[key]] = file
        else:
            self._places[key] = len(folder.files)
            folder.files.append(file)


class ZipStore(_Archive):
    """A ZIP archive's files."""

    words = " in a ZIP archive"

    def _list_members(self) -> None:
        self._members: list[ZipMember] = []
        with self._open() as reader:
            for member in reader.members():
                if not member.is_folder:
                    self._members.append(member)
                    self._add(member.name, problem="is a link, which is not followed" if member.is_link else "")

    def _read(self, places: Sequence[int], *, most_bytes: int) -> Iterator[tuple[int, bytes]]:
        with self._open() as reader:
            for position, place in enumerate(places):
                member, title = self._members[place], self.title(place)
                _check_bytes(member.size_bytes, title, most_bytes=most_bytes)
                yield position, b"".join(reader.read_chunks(member, name=title))

    @contextmanager
    def _open(self) -> Iterator[ZipReader]:
        with open_regular(self._path) as stream:
            yield ZipReader(stream, name=self._name, budget=UnpackBudget.of_file(stream, name=self._name))


class TarStore(_Archive):
    """A tar archive's files, packed or not: a stream, so that each reading goes through all of it.

    Headers of pictures are read with the names, which saves one.
    """

    words = " in a tar archive"

    def _list_members(self) -> None:
        headers: dict[int, ImageHeader | DataError] = {}
        with self._open() as reader:
            for member in reader.members():
                if member.is_folder:
                    continue
                place = len(self._names)
                self._add(member.name, problem=f"is {member.problem} in the archive" if member.problem else "")
                if is_image_name(member.name) and not member.problem and member.size_bytes <= MAX_FILE_BYTES:
                    headers[place] = judge_header(b"".join(reader.read_chunks()), name=self.title(place))
        self.headers = headers

    def _read(self, places: Sequence[int], *, most_bytes: int) -> Iterator[tuple[int, bytes]]:
        wanted = {place: position for position, place in enumerate(places)}
        number = -1
        with self._open() as reader:
            for member in reader.members():
                number += not member.is_folder
                if member.is_folder or number not in wanted:
                    continue
                _check_bytes(member.size_bytes, self.title(number), most_bytes=most_bytes)
                yield wanted[number], b"".join(reader.read_chunks())

    @contextmanager
    def _open(self) -> Iterator[TarReader]:
        with open_regular(self._path) as stream:
            budget = UnpackBudget.of_file(stream, name=self._name)
            yield TarReader(open_unpacked(stream, name=self._name, budget=budget), name=self._name)


def _check_bytes(size_bytes: int, title: str, *, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise DataError(f"{title} has {size_bytes} bytes; the most is {most_bytes}")
