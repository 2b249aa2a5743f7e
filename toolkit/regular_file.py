"""Files opened for reading without waiting for anyone, without trusting a name, and never past a cap."""

from __future__ import annotations

__all__ = ["open_regular", "printable_member", "printable_name", "read_regular"]

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import DataError, ToolkitError

# Non-blocking: a FIFO must not wait for its writer.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def open_regular(
    path: str | Path, *, most_bytes: int | None = None, name: str = "", raises: type[ToolkitError] = DataError
) -> BinaryIO:
    """Open a regular file, judged by its descriptor: what was looked at is what is read, whatever has its name by then.

    Args:
        path: followed where it is a link.
        most_bytes: a larger file is refused before a byte of it is read; None: of any size.
        name: what it is called in messages; the path by default.
        raises: the kind of error.

    Raises:
        ToolkitError: of the kind asked for: it cannot be opened, is something else than a regular file, or too large.
    """
    return os.fdopen(_open(path, name or printable_name(str(path)), most_bytes=most_bytes, raises=raises)[0], "rb")


def read_regular(path: str | Path, *, most_bytes: int, name: str = "", raises: type[ToolkitError] = DataError) -> bytes:
    """Read a regular file whole: as many bytes as it had when it was opened, or fewer where it shrank since.

    Args:
        path: as `open_regular`, like the others.
        most_bytes: a larger file is refused.
        name: for messages.
        raises: the kind of error.

    Raises:
        ToolkitError: of the kind asked for: as `open_regular`, or it cannot be read.
    """
    title = name or printable_name(str(path))
    descriptor, size = _open(path, title, most_bytes=most_bytes, raises=raises)
    try:
        # Not through a stream, and for as many bytes as there are: for a small file that costs a third.
        data = os.read(descriptor, size)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
    except OSError as error:
        raise raises(f"cannot read {title}: {error.strerror or error}") from error
    finally:
        os.close(descriptor)
    return data


def printable_name(text: str) -> str:
    r"""Return a name as valid Unicode: bytes that are not UTF-8 are written as `\udcXX`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable_member(archive: str, member: str) -> str:
    r"""Return `archive!member`; a member's name is a stranger's: its control characters are written as `\xXX`."""
    safe = _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], member)
    return f"{printable_name(archive)}!{printable_name(safe)}"


def _open(path: str | Path, title: str, *, most_bytes: int | None, raises: type[ToolkitError]) -> tuple[int, int]:
    """Return an open descriptor and the file's size in bytes."""
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except (OSError, ValueError) as error:  # the second: a zero byte in the name
        raise raises(f"cannot read {title}: {getattr(error, 'strerror', None) or error}") from error
    state = os.fstat(descriptor)
    is_regular = stat.S_ISREG(state.st_mode)
    if is_regular and (most_bytes is None or state.st_size <= most_bytes):
        return descriptor, state.st_size
    os.close(descriptor)
    if is_regular:
        raise raises(f"{title} has {state.st_size} bytes; the most is {most_bytes}")
    raise raises(f"{title} is not a regular file and was not opened")
