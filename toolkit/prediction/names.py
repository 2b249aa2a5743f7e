"""Names of files as text that every terminal, CSV reader and JSON parser can take."""

from __future__ import annotations

__all__ = ["printable_path"]

from pathlib import PurePath


def printable_path(path: PurePath | str) -> str:
    r"""Return a path as valid Unicode: bytes that are not UTF-8 are written as `\udcXX`."""
    text = str(path)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
