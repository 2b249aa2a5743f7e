"""What of an archive was not taken, in one sentence."""

from __future__ import annotations

__all__ = ["LeftOut", "is_array_name"]

from toolkit.progress import OnNote

ARRAY_ENDINGS = (".npy", ".idx", "-ubyte")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".npz", ".parquet", ".7z", ".rar")
ARCHIVES, ARRAYS = "archives inside, which are not opened", "arrays that are no images"
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
        self._some: dict[str, tuple[int, tuple[str, ...]]] = dict.fromkeys((ARCHIVES, ARRAYS), (0, ()))

    def add_file(self, name: str) -> None:
        """Take note of a member whose name says neither image nor array."""
        if name.lower().endswith(ARCHIVE_ENDINGS):
            self._add(ARCHIVES, name)
        else:
            self._num_files += 1

    def add_array(self, name: str) -> None:
        """Take note of an array of labels or other numbers."""
        self._add(ARRAYS, name)

    def tell(self, on_note: OnNote | None) -> None:
        """Say what was left out, if anything was."""
        parts = [f"{self._num_files} files of other names"] if self._num_files else []
        for words, (count, names) in self._some.items():
            more = ", ..." if count > len(names) else ""
            parts += [f"{count} {words}: {', '.join(names)}{more}"] if count else []
        if parts and on_note is not None:
            on_note(f"{self._source}: left out {'; '.join(parts)}")

    def _add(self, words: str, name: str) -> None:
        count, names = self._some[words]
        self._some[words] = (count + 1, (*names, name)[:MAX_NAMES])
