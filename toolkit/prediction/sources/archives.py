"""Archives read in place: their images and arrays, member after member; nothing is ever written.

Members are taken in the archive's own order. Names mean nothing here but a name: `../x.png` and `/x.png` are read like
any other, duplicates are read twice. A link or a device with an image's name is an item without content. Folders,
archives inside, and files of other names are left out and counted.
"""

from __future__ import annotations

__all__ = ["iterate_tar", "iterate_zip"]

from collections.abc import Iterator
from typing import BinaryIO

from toolkit.card import InputSpec
from toolkit.containers.tar import TarMember, TarReader
from toolkit.containers.unpacked import UnpackBudget, join_pieces, open_unpacked
from toolkit.containers.zip import ZipMember, ZipReader
from toolkit.errors import DataError
from toolkit.imaging.endings import LeftOut, is_image_name
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.prediction.sources.arrays import ArrayStream, iterate_stream, read_through, tell_flattened
from toolkit.prediction.sources.items import ImageItem, Item
from toolkit.progress import OnNote
from toolkit.regular_file import open_regular, printable_member, printable_name

NPZ_ENDING, NPY_ENDING = ".npz", ".npy"
ARRAY_ENDINGS = (".npy", ".idx", "-ubyte")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".npz", ".parquet", ".7z", ".rar")
ARCHIVES, ARRAYS = "archives inside, which are not opened", "arrays that are no images"
MOST_NAMES = 3


def iterate_zip(path: str, *, on_note: OnNote | None = None, spec: InputSpec | None = None) -> Iterator[Item]:
    """Yield the images and arrays of a ZIP archive, which an NPZ file is too.

    Args:
        path: a regular file.
        on_note: called with one sentence about what was left out.
        spec: what the model takes.

    Raises:
        DataError: it cannot be opened.
    """
    with open_regular(path) as stream:
        budget = UnpackBudget.of_file(stream, name=printable_name(path))
        yield from _end_in_item(_ZipItems(path, stream, budget=budget, spec=spec), on_note)


def iterate_tar(path: str, *, on_note: OnNote | None = None, spec: InputSpec | None = None) -> Iterator[Item]:
    """Yield the images and arrays of a tar archive, packed or not.

    Args:
        path: a regular file.
        on_note: called with one sentence about what was left out.
        spec: what the model takes.

    Raises:
        DataError: it cannot be opened.
    """
    with open_regular(path) as stream:
        name = printable_name(path)
        unpacked = open_unpacked(stream, name=name, budget=UnpackBudget.of_file(stream, name=name))
        yield from _end_in_item(_TarItems(path, unpacked, spec=spec), on_note)


def _end_in_item(items: _ArchiveItems, on_note: OnNote | None) -> Iterator[Item]:
    """Yield an archive's items; a damaged archive ends in an item without content, one that holds nothing is one."""
    found = 0
    try:
        for item in items:
            found += 1
            yield item
    except DataError as error:
        yield _failed(items.name, str(error))
    else:
        if not found:
            yield _failed(items.name, f"{items.name} holds no image and no array of images")
    if on_note is not None:
        for note in (*items.notes, *items.left_out.describe()):
            on_note(note)


class _ArchiveItems:
    """The items of an archive; what both kinds share.

    Args:
        path: the archive.
        spec: what the model takes.
    """

    def __init__(self, path: str, spec: InputSpec | None) -> None:
        self.path = path
        self.spec = spec
        self.name = printable_name(path)
        self.left_out = _LeftOut(self.name)
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Item]:
        raise NotImplementedError

    def _name_member(self, name: str) -> str:
        # numpy.savez appends `.npy` to the key under which the array was given: the user knows the key.
        is_key = name.endswith(NPY_ENDING) and self.path.lower().endswith(NPZ_ENDING)
        return printable_member(self.path, name.removesuffix(NPY_ENDING) if is_key else name)


class _ZipItems(_ArchiveItems):
    def __init__(self, path: str, stream: BinaryIO, *, budget: UnpackBudget, spec: InputSpec | None) -> None:
        super().__init__(path, spec)
        self._budget = budget
        self._reader = ZipReader(stream, name=self.name, budget=budget)

    def __iter__(self) -> Iterator[Item]:
        for member in self._reader.members():
            source = self._name_member(member.name)
            try:
                if is_image_name(member.name):
                    yield self._read_image(member, source)
                elif _is_array_name(member.name):
                    yield from self._read_array(member, source)
                elif not member.is_folder:
                    self.left_out.add_file(source)
            except DataError as error:
                if self._budget.is_spent:  # a bomb ends the archive; one member that is damaged does not
                    raise
                yield _failed(source, str(error))

    def _read_image(self, member: ZipMember, source: str) -> ImageItem:
        _check_member(source, size_bytes=member.size_bytes, problem="a link" if member.is_link else "")
        return ImageItem(source, 0, b"".join(self._reader.read_chunks(member, name=source)))

    def _read_array(self, member: ZipMember, source: str) -> Iterator[Item]:
        """Yield an array's blocks after a first pass to its end, where its checksum is compared."""
        if member.is_link:
            raise DataError(f"{source} is a link in the archive, which is not followed")
        left_bytes = self._budget.left_bytes
        array = self._open_array(member, source)
        if not array.is_images:
            self.left_out.add_array(source)
            return
        tell_flattened(array.layout, source, on_note=self.notes.append)
        bits = read_through(array)
        self._budget.left_bytes = left_bytes  # the same bytes once more: they are not spent twice
        yield from iterate_stream(self._open_array(member, source), source, bits=bits)

    def _open_array(self, member: ZipMember, source: str) -> ArrayStream:
        plain = join_pieces(self._reader.read_chunks(member, name=source))
        return ArrayStream(plain, name=source, spec=self.spec)


class _TarItems(_ArchiveItems):
    def __init__(self, path: str, stream: BinaryIO, *, spec: InputSpec | None) -> None:
        super().__init__(path, spec)
        self._reader = TarReader(stream, name=self.name)

    def __iter__(self) -> Iterator[Item]:
        for member in self._reader.members():
            if member.is_folder:
                continue
            source = self._name_member(member.name)
            if is_image_name(member.name):
                yield self._read_image(member, source)
            elif _is_array_name(member.name) and not member.problem:
                yield from self._read_array(source)
            else:
                self.left_out.add_file(source)

    def _read_image(self, member: TarMember, source: str) -> ImageItem:
        try:
            _check_member(source, size_bytes=member.size_bytes, problem=member.problem)
        except DataError as error:
            return _failed(source, str(error))
        return ImageItem(source, 0, b"".join(self._reader.read_chunks()))

    def _read_array(self, source: str) -> Iterator[Item]:
        """Yield an array's blocks as they come: a stream is read once, and tar has no checksum of a member."""
        try:
            array = ArrayStream(join_pieces(self._reader.read_chunks()), name=source, spec=self.spec)
            if array.is_images:
                tell_flattened(array.layout, source, on_note=self.notes.append)
                yield from iterate_stream(array, source)
            else:
                self.left_out.add_array(source)
        except DataError as error:  # where the archive itself is cut off, its next header says so too
            yield _failed(source, str(error))


class _LeftOut:
    """Counts what is left out on purpose; a few names are kept, however many there are.

    Args:
        source: what the archive is called.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._files = LeftOut()
        self._some: dict[str, tuple[int, tuple[str, ...]]] = dict.fromkeys((ARCHIVES, ARRAYS), (0, ()))

    def add_file(self, name: str) -> None:
        """Take note of a member whose name says neither image nor array."""
        if name.lower().endswith(ARCHIVE_ENDINGS):
            self._add(ARCHIVES, name)
        else:
            self._files.add(name)

    def add_array(self, name: str) -> None:
        """Take note of an array of labels or other numbers."""
        self._add(ARRAYS, name)

    def describe(self) -> list[str]:
        """Return what was left out in one sentence; nothing where nothing was."""
        parts = [str(self._files)] if self._files else []
        for words, (count, names) in self._some.items():
            more = ", ..." if count > len(names) else ""
            parts += [f"{count} {words}: {', '.join(names)}{more}"] if count else []
        return [f"{self._source}: left out {'; '.join(parts)}{self._files.step}"] if parts else []

    def _add(self, words: str, name: str) -> None:
        count, names = self._some[words]
        self._some[words] = (count + 1, (*names, name)[:MOST_NAMES])


def _is_array_name(name: str) -> bool:
    """Say whether a member's name ends like that of an NPY or IDX file."""
    return name[-6:].lower().endswith(ARRAY_ENDINGS)


def _check_member(source: str, *, size_bytes: int, problem: str) -> None:
    if problem:
        raise DataError(f"{source} is {problem} in the archive, which is not followed")
    if size_bytes > MAX_FILE_BYTES:
        raise DataError(f"{source} has {size_bytes} bytes; the most for an image is {MAX_FILE_BYTES}")


def _failed(source: str, reason: str) -> ImageItem:
    return ImageItem(source, 0, None, " ".join(reason.split()))
