"""Names of files as text that every terminal, CSV reader and JSON parser can take."""

from __future__ import annotations

__all__ = ["printable_path"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def printable_path(path: Path) -> str:
    r"""Return a path as valid Unicode: bytes that are not UTF-8 are written as `\udcXX`."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
