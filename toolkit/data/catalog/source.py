"""What a download source is: something that yields files as they are kept, or says why it cannot."""

from __future__ import annotations

__all__ = ["Source", "SourceError"]

from collections.abc import Iterator
from typing import Protocol

from toolkit.data.catalog.entries import CatalogFile
from toolkit.errors import DownloadError
from toolkit.progress import ShowProgress


class SourceError(DownloadError):
    """One source could not give a file; the message is the reason, for a list of sources."""


class Source(Protocol):
    """A place that holds a data set's files."""

    @property
    def label(self) -> str:
        """How messages call this place."""

    def fetch(self, files: tuple[CatalogFile, ...], *, progress: ShowProgress) -> Iterator[tuple[CatalogFile, bytes]]:
        """Yield each file with its bytes as they are kept, at most its `size_bytes`; the caller checks the hash.

        Args:
            files: the files wanted.
            progress: called with (bytes of this file so far, its size).

        Raises:
            SourceError: a file cannot be had from here.
        """
