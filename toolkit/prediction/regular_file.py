"""Files opened for reading without waiting for anyone and without trusting a name."""

from __future__ import annotations

__all__ = ["open_regular", "read_head"]

import os
import stat
from typing import BinaryIO

from toolkit.errors import DataError
from toolkit.prediction.names import printable_name

# Non-blocking: a FIFO must not wait for its writer.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_regular(path: str) -> BinaryIO:
    """Open a regular file, judged by its descriptor, so that nothing can be swapped.

    Raises:
        DataError: it cannot be opened, or is something else than a regular file.
    """
    descriptor = _open(path)
    try:
        _check_regular(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_head(path: str, count: int) -> bytes:
    """Return a regular file's first bytes; fewer where it is shorter.

    Raises:
        DataError: as `open_regular`, or it cannot be read.
    """
    descriptor = _open(path)
    try:
        _check_regular(descriptor, path)
        return os.read(descriptor, count)
    except OSError as error:
        raise DataError(f"cannot read {printable_name(path)}: {error.strerror or error}") from error
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    try:
        return os.open(path, OPEN_FLAGS)
    except OSError as error:
        raise DataError(f"cannot read {printable_name(path)}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise DataError(f"cannot read {printable_name(path)}: {error}") from error


def _check_regular(descriptor: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise DataError(f"{printable_name(path)} is not a regular file and was not opened")
