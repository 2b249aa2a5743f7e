"""How many rows the inputs will give, where that is known before any of them is read: for a bar."""

from __future__ import annotations

__all__ = ["find_total"]

import os
from typing import TYPE_CHECKING

from toolkit.errors import DataError
from toolkit.prediction.globs import is_glob
from toolkit.prediction.kinds import Kind, judge_file
from toolkit.prediction.open_items import STDIN, tidy_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from toolkit.card import InputSpec


def find_total(inputs: Iterable[Path | str], spec: InputSpec) -> int | None:
    """Return the rows of images that are named and of plain NPY and IDX files; None where any input is something else.

    Counting a folder would list it twice: 8 us a file where a picture takes 22.

    Args:
        inputs: as for `open_items`.
        spec: what the model takes.
    """
    total = 0
    for given in inputs:
        count = _count_rows(tidy_path(os.fspath(given)), spec)
        if count is None:
            return None
        total += count
    return total


def _count_rows(path: str, spec: InputSpec) -> int | None:
    if path == STDIN or is_glob(path) or os.path.isdir(path):  # noqa: PTH112 - text, as in the listing
        return None
    try:
        kind = judge_file(path)
        if kind in {Kind.NPY, Kind.IDX}:
            from toolkit.prediction.array_source import open_array_file

            return len(open_array_file(path, kind, spec=spec).images)
    except DataError:
        return 1  # what cannot be read is one row
    return 1 if kind == Kind.IMAGE else None
