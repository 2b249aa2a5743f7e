"""How many rows sources will give, where headers and listings tell: for a progress bar."""

from __future__ import annotations

__all__ = ["count_rows"]

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import DataError
from toolkit.prediction.globs import expand_glob, is_glob
from toolkit.prediction.kinds import Kind, judge_file
from toolkit.prediction.listing import is_image_name, iterate_folder
from toolkit.prediction.open_items import STDIN, tidy_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolkit.card import InputSpec

ONE_ERROR = 1


def count_rows(inputs: Iterable[Path | str], *, spec: InputSpec | None = None) -> int | None:
    """Return how many rows `open_items` will make of these sources; None where only reading them would tell.

    Folders and patterns are listed, headers and a ZIP archive's directory are read, no image is. A tar archive and a
    list on standard input cannot be counted. Where a file is damaged further on, the count is what its header promises.

    Args:
        inputs: as for `open_items`.
        spec: what the model takes.

    Raises:
        ResourceError: a Parquet file, and pyarrow is not installed.
    """
    total = 0
    for given in inputs:
        path = tidy_path(os.fspath(given))
        count = None if path == STDIN else _count_source(path, spec)
        if count is None:
            return None
        total += count
    return total


def _count_source(path: str, spec: InputSpec | None) -> int | None:
    if not is_glob(path):
        return _count_path(path, spec, is_named=True)
    total = 0
    for match in expand_glob(path):
        count = _count_path(match, spec, is_named=False)
        if count is None:
            return None
        total += count
    return total or ONE_ERROR


def _count_path(path: str, spec: InputSpec | None, *, is_named: bool) -> int | None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - no Path for every file of a pattern
        if stat.S_ISDIR(mode):
            return sum(1 for _ in iterate_folder(path))
        if not stat.S_ISREG(mode) or (not is_named and is_image_name(path)):
            return 1
        return _count_file(path, spec)
    except (OSError, ValueError, DataError):
        return ONE_ERROR


def _count_file(path: str, spec: InputSpec | None) -> int | None:
    kind = judge_file(path)
    if kind == Kind.IMAGE:
        return 1
    if kind in {Kind.NPY, Kind.IDX}:
        from toolkit.prediction.array_source import open_array_file

        return len(open_array_file(path, kind, spec=spec).images)
    if kind in {Kind.NPY_GZIP, Kind.IDX_GZIP}:
        from toolkit.prediction.array_source import count_packed

        return count_packed(path, spec=spec)
    if kind == Kind.PARQUET:
        from toolkit.prediction.parquet_source import count_parquet

        return count_parquet(path)
    if kind == Kind.ZIP:
        from toolkit.prediction.archives import count_zip

        return count_zip(path, spec=spec)
    return None
