"""What of an archive was not taken, in one sentence."""

from __future__ import annotations

__all__ = ["LeftOut", "is_array_name"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.progress import OnNote


ARRAY_ENDINGS = (".npy", ".idx", "-ubyte")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".npz", ".parquet", ".7z", ".rar")
MAX_NAMES = 3


def is_array_name(name: str) -> bool:
    """Say whether a member's name ends like that of an NPY or IDX file."""
    return name[-6:].lower().endswith(ARRAY_ENDINGS)


class LeftOut:
    """Counts what is left out on purpose; a few names are kept, however many there are.

    Args:
        source: what the archive is called.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._num_files = 0
        self._archives = _Some("archives inside, which are not opened")
        self._arrays = _Some("arrays that are no images")

    def add_file(self, name: str) -> None:
        """Take note of a member whose name says neither image nor array."""
        if name.lower().endswith(ARCHIVE_ENDINGS):
            self._archives.add(name)
        else:
            self._num_files += 1

    def add_array(self, name: str) -> None:
        """Take note of an array of labels or other numbers."""
        self._arrays.add(name)

    def tell(self, on_note: OnNote | None) -> None:
        """Say what was left out, if anything was."""
        files = [f"{self._num_files} files of other names"] if self._num_files else []
        parts = [*files, *self._archives.describe(), *self._arrays.describe()]
        if parts and on_note is not None:
            on_note(f"{self._source}: left out {'; '.join(parts)}")


class _Some:
    def __init__(self, words: str) -> None:
        self._words = words
        self._count = 0
        self._names: list[str] = []

    def add(self, name: str) -> None:
        self._count += 1
        if len(self._names) < MAX_NAMES:
            self._names.append(name)

    def describe(self) -> list[str]:
        if not self._count:
            return []
        more = ", ..." if self._count > len(self._names) else ""
        return [f"{self._count} {self._words}: {', '.join(self._names)}{more}"]
