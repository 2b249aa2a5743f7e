"""Patterns that no file is called like."""

from __future__ import annotations

__all__ = ["expand_glob"]

import glob
from pathlib import Path


def expand_glob(pattern: Path) -> list[Path] | None:
    """Return what a pattern names, sorted, `**` for any number of folders; None where it is no pattern."""
    text = str(pattern)
    if "\0" in text or not glob.has_magic(text):
        return None
    return [Path(name) for name in sorted(glob.iglob(text, recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern
