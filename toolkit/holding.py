"""One process at a time: what is being written is held against others, and is free again however its holder ends.

A lock is a hidden file beside what it guards, locked by the system: a killed process holds nothing. The file is removed
by whoever held it; the package filelock leaves its own behind, beside every output that a user looks at.
"""

from __future__ import annotations

__all__ = ["claim", "hold", "is_claimed", "is_held", "release_claims"]

import atexit
import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from toolkit.errors import ResourceError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Lock(NamedTuple):
    """What is held.

    Attributes:
        file: the hidden file.
        descriptor: through which the system knows the holder.
        made: the folders that were made for it, the deepest first.
    """

    file: Path
    descriptor: int
    made: list[Path]


LOOK_EVERY_S = 0.05
TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
# Some network file systems know no locks; work there goes on unguarded, as it would without us.
UNKNOWN = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
LONGEST_NAME_BYTES = 240

# What this process holds until its end, by lock file.
_claims: dict[Path, _Lock] = {}


@contextlib.contextmanager
def hold(path: Path, *, wait_s: float = 0.0, taken: str = "") -> Iterator[None]:
    """Hold a path against every other process, and against other threads of this one, until the block ends.

    Nothing has to exist there; the folder above it is made, and removed again where it stays empty. What this process
    claimed is held already.

    Args:
        path: what is to be written: a file or a folder.
        wait_s: seconds to wait for another holder.
        taken: what to say where there still is one.

    Raises:
        ResourceError: another holds it; or the folder above it cannot be written.
    """
    lock = _lock_file(path)
    if lock in _claims:
        yield
        return
    end = time.monotonic() + wait_s
    while (held := _try(lock, path)) is None:
        if time.monotonic() >= end:
            raise ResourceError(taken or f"{path} is being written by another process; wait for it or name another")
        time.sleep(LOOK_EVERY_S)
    try:
        yield
    finally:
        _free(held)


def claim(path: Path) -> bool:
    """Hold a path until `release_claims` or the end of this process; False where another holds it.

    Raises:
        ResourceError: the folder above it cannot be written.
    """
    lock = _lock_file(path)
    if lock in _claims:
        return True
    held = _try(lock, path)
    if held is not None:
        _claims[lock] = held
    return held is not None


def is_claimed(path: Path) -> bool:
    """Say whether this process claimed a path."""
    return _lock_file(path) in _claims


def is_held(path: Path) -> bool:
    """Say whether any process holds a path; nothing is made there."""
    lock = _lock_file(path)
    if lock in _claims:
        return True
    try:
        descriptor = os.open(lock, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        _lock(descriptor)
    except OSError as error:
        return error.errno in TAKEN
    finally:
        os.close(descriptor)
    return False


@atexit.register  # a program that uses the library ends no command, which gives all back
def release_claims() -> None:
    """Give back everything that was claimed."""
    while _claims:
        _free(_claims.popitem()[1])


def _lock_file(path: Path) -> Path:
    name = os.fsencode(path.name)
    if len(name) <= LONGEST_NAME_BYTES:
        return path.parent.resolve() / f".{path.name}.lock"
    import hashlib  # rare, and slow to load

    return path.parent.resolve() / f".{hashlib.sha256(name).hexdigest()}.lock"


def _try(lock: Path, path: Path) -> _Lock | None:
    """Return what holds the path, None where another holds it."""
    try:
        while True:
            made = _make_folders(lock.parent)
            try:
                descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            except FileNotFoundError:
                continue  # another process made the folder as well and has just removed it
            try:
                _lock(descriptor)
            except OSError as error:
                if error.errno not in UNKNOWN:
                    os.close(descriptor)
                    if error.errno in TAKEN:
                        return None
                    raise
            # Its last holder may have removed it before this lock held: a file without its name keeps nobody out.
            if _is_named(descriptor, lock):
                return _Lock(lock, descriptor, made)
            os.close(descriptor)
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that can be written"
        ) from error


def _is_named(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(lock))
    except FileNotFoundError:
        return False


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the ones that were missing, the deepest first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _free(held: _Lock) -> None:
    # Removed while it is held: whoever waits for it sees that it lost its name, and looks again.
    with contextlib.suppress(OSError):
        held.file.unlink()
    os.close(held.descriptor)
    # What was refused leaves nothing; a folder in which something lies stays.
    with contextlib.suppress(OSError):
        for folder in held.made:
            folder.rmdir()
