"""How many rows inputs will give, where that is cheap to know."""

from __future__ import annotations

__all__ = ["count_rows"]

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import DataError
from toolkit.imaging.decode import IMAGE_ENDINGS
from toolkit.prediction.folders import walk_folder
from toolkit.prediction.globs import expand_glob
from toolkit.prediction.open_items import STDIN, recognise

if TYPE_CHECKING:
    from collections.abc import Iterable


def count_rows(inputs: Iterable[Path]) -> int | None:
    """Return the number of rows, from headers and listings; None where only reading everything tells it.

    Raises:
        DataError: an input cannot be read.
        OSError: likewise.
    """
    total = 0
    for given in inputs:
        count = _count(given)
        if count is None:
            return None
        total += count
    return total


def _count(path: Path) -> int | None:
    if path == STDIN:
        return None
    if path.is_dir():
        entries = walk_folder(str(path))
        return sum(bool(problem) or name.lower().endswith(IMAGE_ENDINGS) for name, problem in entries) or 1
    if path.is_file():
        return _count_file(path)
    matches = expand_glob(path)
    return count_rows(matches) if matches else 1


def _count_file(path: Path) -> int | None:
    kind = recognise(path)
    if kind == "image":
        return 1
    if kind == "npy":
        from toolkit.data.arrays import as_batch
        from toolkit.prediction.arrays import open_npy

        return len(as_batch(open_npy(path), name=str(path)))
    if kind == "zip":
        from toolkit.prediction.archives import count_zip

        return count_zip(path)
    if kind == "parquet":
        from toolkit.prediction.parquet_items import count_parquet

        return count_parquet(path)
    return _count_idx(path) if kind == "idx" else None


def _count_idx(path: Path) -> int | None:
    with path.open("rb") as stream:
        head = stream.read(8)
    if head[:2] != b"\0\0":  # packed
        return None
    if len(head) < 8:
        raise DataError(f"{path} is short")
    return int.from_bytes(head[4:8], "big")
