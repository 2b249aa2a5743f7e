"""Pictures inside ZIP and TAR archives, read in place: nothing is ever written, and nothing grows past its cap."""

from __future__ import annotations

__all__ = ["count_zip", "iterate_tar", "iterate_zip"]

import os
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

from toolkit.errors import DataError
from toolkit.imaging.decode import IMAGE_ENDINGS, MAX_FILE_BYTES
from toolkit.prediction.items import ImageItem, failed_item
from toolkit.prediction.names import printable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from toolkit.prediction.items import Item, OnNote

# zipfile makes an object of every member when it opens an archive: about 600 bytes each.
MAX_ZIP_MEMBERS = 200_000
MAX_DIRECTORY_BYTES = 64 << 20
# Deflate cannot do better than 1:1032; a picture never comes near it.
MAX_RATIO = 900
LEAST_SUSPICIOUS_BYTES = 16 << 20
END_MAGIC, END_BYTES, END_COMMENT_BYTES = b"PK\5\6", 22, 0xFFFF
IS_ENCRYPTED = 0x1


def iterate_zip(path: Path, *, on_note: OnNote) -> Iterator[Item]:
    """Yield a ZIP archive's pictures in its own order, as `archive.zip!member`.

    Members with other endings, archives inside it among them, are left out and counted. Links, encrypted, damaged and
    over-large members are rows without an image. Names are only shown: `../` leads nowhere.

    Raises:
        DataError: no ZIP archive, damaged, or with more than 200,000 members.
    """
    title = printable_path(path)
    found = left_out = 0
    with _open_zip(path, title) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if not info.filename.lower().endswith(IMAGE_ENDINGS):
                left_out += 1
                continue
            found += 1
            yield _read_zip_member(archive, info, f"{title}!{printable_path(info.filename)}")
    yield from _conclude(title, found, left_out, on_note)


def count_zip(path: Path) -> int:
    """Return how many rows `iterate_zip` yields.

    Raises:
        DataError: as `iterate_zip`.
    """
    with _open_zip(path, str(path)) as archive:
        names = (info.filename.lower() for info in archive.infolist() if not info.is_dir())
        return max(1, sum(name.endswith(IMAGE_ENDINGS) for name in names))


def iterate_tar(path: Path, *, on_note: OnNote) -> Iterator[Item]:
    """Yield a TAR archive's pictures in its own order, packed by gzip, bzip2, xz or not, as `archive.tar!member`.

    As `iterate_zip`; a member that is larger than any picture may be ends the archive, because what follows could only
    be reached through it.

    Raises:
        DataError: no TAR archive, or it is damaged from some place on.
    """
    title = printable_path(path)
    found = left_out = 0
    try:
        # A stream is never sought in, and its members are forgotten as they pass.
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps every one that it has seen
                if member.isdir():
                    continue
                if not member.name.lower().endswith(IMAGE_ENDINGS):
                    left_out += 1
                    _check_size(member.size, name=f"{title}!{printable_path(member.name)}")
                    continue
                found += 1
                yield _read_tar_member(archive, member, f"{title}!{printable_path(member.name)}")
    except DataError:
        raise
    except Exception as error:  # tarfile, zlib, lzma and bz2 have no common base
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{title} is damaged after {found} pictures: {reason}; get it again") from error
    yield from _conclude(title, found, left_out, on_note)


def _read_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> ImageItem:
    try:
        _check_zip_member(info, source)
        with archive.open(info) as member:
            data = member.read(info.file_size + 1)
    except DataError as error:
        return failed_item(source, error)
    except Exception as error:  # noqa: BLE001 - zipfile raises BadZipFile, zlib.error, NotImplementedError, EOFError ...
        return failed_item(source, f"{source} is damaged: {error or type(error).__name__}")
    return ImageItem(source, 0, data)


def _check_zip_member(info: zipfile.ZipInfo, source: str) -> None:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(f"{source} is a link, which is not followed")
    if info.flag_bits & IS_ENCRYPTED:
        raise DataError(f"{source} is encrypted; unpack it first")
    _check_size(info.file_size, name=source)
    if info.file_size > max(LEAST_SUSPICIOUS_BYTES, MAX_RATIO * info.compress_size):
        raise DataError(f"{source} claims {info.file_size} bytes of {info.compress_size}; that is no picture")


def _read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, source: str) -> ImageItem:
    if not member.isreg():
        kind = "a link" if member.issym() or member.islnk() else "no regular file"
        return failed_item(source, f"{source} is {kind} and was not opened")
    _check_size(member.size, name=source)
    stream = archive.extractfile(member)
    assert stream is not None
    data = stream.read(member.size)
    if len(data) != member.size:
        raise DataError(f"{source} has {len(data)} bytes; its header says {member.size}: the archive is truncated")
    return ImageItem(source, 0, data)


def _check_size(size: int, *, name: str) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(f"{name} has {size} bytes; the most for an image is {MAX_FILE_BYTES}")


def _conclude(title: str, found: int, left_out: int, on_note: OnNote) -> Iterator[Item]:
    endings = " ".join(IMAGE_ENDINGS)
    if not found:
        yield failed_item(title, f"{title} holds no image; expected members ending in {endings}")
    elif left_out:
        on_note(f"{title}: {left_out} members left out, their names do not end in {endings}")


def _open_zip(path: Path, title: str) -> zipfile.ZipFile:
    try:
        with path.open("rb") as stream:
            _check_directory(stream)
        return zipfile.ZipFile(path)
    except DataError:
        raise
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{title} cannot be read as a ZIP archive: {reason}; get it again") from error


def _check_directory(stream: BinaryIO) -> None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - END_BYTES - END_COMMENT_BYTES))
    tail = stream.read()
    end = tail.rfind(END_MAGIC)
    if end < 0 or len(tail) < end + END_BYTES:
        raise ValueError("it has no directory: truncated, or no ZIP archive")
    members = int.from_bytes(tail[end + 10 : end + 12], "little")
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    # ZIP64 puts 0xFFFF here and the true number elsewhere; the directory's size bounds it all the same.
    if directory_bytes > MAX_DIRECTORY_BYTES or (members != 0xFFFF and members > MAX_ZIP_MEMBERS):
        raise ValueError(
            f"its directory has {directory_bytes} bytes; the most is {MAX_DIRECTORY_BYTES}, about {MAX_ZIP_MEMBERS} "
            "members; unpack it into a folder or make it a TAR archive"
        )
