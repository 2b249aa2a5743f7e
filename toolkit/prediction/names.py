"""Names of files as text that every terminal, CSV reader and JSON parser can take."""

from __future__ import annotations

__all__ = ["printable_member", "printable_path"]

import re
from typing import TYPE_CHECKING

from toolkit.regular_file import printable_name

if TYPE_CHECKING:
    from pathlib import Path

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable_path(path: Path) -> str:
    r"""Return a path as valid Unicode: bytes that are not UTF-8 are written as `\udcXX`."""
    return printable_name(str(path))


def printable_member(archive: str, member: str) -> str:
    r"""Return `archive!member`; a member's name is a stranger's: its control characters are written as `\xXX`."""
    safe = _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], member)
    return f"{printable_name(archive)}!{printable_name(safe)}"
