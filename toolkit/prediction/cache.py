"""Pictures that were prepared before, packed into one file and found again by path, size and time of change."""

from __future__ import annotations

__all__ = ["PictureCache", "open_cache"]

import contextlib
import hashlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.closing import Closing
from toolkit.errors import ResourceError
from toolkit.prediction.items import ImageItem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from toolkit.prediction.blocks import Block
    from toolkit.prediction.items import Item
    from toolkit.prediction.prepare_items import Preparation

    Known = Mapping[int, tuple[npt.NDArray[np.uint8], str]]

# A new number makes everything that an older way of preparing left behind unknown.
VERSION = 1
KEY_BYTES = 16
# Several decoders write; each waits for the others this long.
WAIT_S = 60.0
TABLE = "CREATE TABLE IF NOT EXISTS pictures (key BLOB PRIMARY KEY, pixels BLOB, message TEXT) WITHOUT ROWID"


class PictureCache(Closing):
    """Prepared pictures in an SQLite file; shared by threads and processes; a kill loses nothing that was written.

    Args:
        path: the file; made where it is missing.
        preparation: how pictures are brought to the model; another way is another picture.

    Raises:
        ResourceError: the file is none of ours, damaged, or cannot be written.
    """

    def __init__(self, path: Path, preparation: Preparation) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._shape = preparation.spec.shape
        self._key = hashlib.blake2b(f"{VERSION} {preparation!r}".encode(), digest_size=32).digest()
        with self._failures_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=OFF")  # a cache may be lost in a power cut, not in a crash
            self._base.execute(TABLE)

    def find(self, items: Sequence[Item]) -> dict[int, tuple[npt.NDArray[np.uint8], str]]:
        """Return the pictures among `items` that are known, by their place in it, with their messages."""
        found = {}
        with self._failures_named(), self._lock:
            for number, key in self._keys(items):
                query = "SELECT pixels, message FROM pictures WHERE key = ?"
                row = self._base.execute(query, (key,)).fetchone()
                if row is not None:
                    found[number] = np.frombuffer(row[0], np.uint8).reshape(self._shape), row[1]
        return found

    def keep(self, items: Sequence[Item], block: Block, *, known: Known) -> None:
        """Remember the block's pictures, but for those that were known; what could not be prepared is tried again."""
        if not any(isinstance(item, ImageItem) for item in items):
            return
        places = {int(place): number for number, place in enumerate(block.places)}
        starts = np.cumsum([0, *(item.num_rows for item in items)]).tolist()
        fresh = [
            (key, block.images[places[starts[number]]].tobytes(), block.messages.get(starts[number], ""))
            for number, key in self._keys(items)
            if number not in known and starts[number] in places
        ]
        with self._failures_named(), self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", fresh)
            self._base.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _keys(self, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
        for number, item in enumerate(items):
            if isinstance(item, ImageItem) and isinstance(item.content, str):
                with contextlib.suppress(OSError, ValueError):  # it will be reported when it is read
                    status = os.stat(item.content)  # noqa: PTH116 - a Path costs more than the rest
                    text = f"{os.path.abspath(item.content)}\0{status.st_size}\0{status.st_mtime_ns}"  # noqa: PTH100 - not resolved
                    name = text.encode(errors="surrogateescape")
                    yield number, hashlib.blake2b(name, digest_size=KEY_BYTES, key=self._key).digest()

    @contextlib.contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ResourceError(f"cannot use the cache {self._path}: {error}; delete it or do without") from error


@contextlib.contextmanager
def open_cache(path: Path | None, preparation: Preparation) -> Iterator[PictureCache | None]:
    """Open a cache where there is one."""
    if path is None:
        yield None
        return
    with PictureCache(path, preparation) as cache:
        yield cache
