"""Durable files: written as a whole or not at all, hashed, read back."""

from __future__ import annotations

__all__ = [
    "clear_leavings",
    "move_durably",
    "open_atomic",
    "read_json",
    "replaced_folder",
    "settle_folder",
    "sha256_bytes",
    "sha256_file",
    "write_atomic",
    "write_json",
]

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from toolkit.errors import DataError, ResourceError
from toolkit.holding import hold
from toolkit.regular_file import read_regular

TEMPORARY = ".tmp"
# Of Linux's renameat2, which Python does not have.
AT_FDCWD, RENAME_EXCHANGE = -100, 2
CANNOT_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
SETTLING_S = 60.0
# Reports and descriptions have kilobytes.
JSON_CAP_BYTES = 256 << 20


def sha256_bytes(data: bytes | memoryview) -> str:
    """Return the lower-case hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the lower-case hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name only when the block ends well and its bytes are on the disk.

    `path` holds the old bytes or the new ones, never a part, also after a power cut.

    Raises:
        ResourceError: the disk is full, read-only, or failed; no temporary file is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = _create_temporary(path)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def clear_leavings(path: Path) -> None:
    """Remove the temporary files that killed writers of a file left beside it; only who holds the file may."""
    for leaving in path.parent.glob(f"{glob.escape(_temporary_prefix(path))}*{TEMPORARY}"):
        leaving.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` durably and as a whole; as `open_atomic`, which says what it raises."""
    with open_atomic(path) as stream:
        stream.write(data)


def move_durably(source: Path, target: Path) -> None:
    """Give a whole file another name in its folder, replacing what had it, so that the name survives a power cut.

    Raises:
        ResourceError: the file system refused; both files are as they were.
    """
    try:
        source.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise ResourceError(f"cannot rename {source} to {target.name}: {error.strerror or error}") from error


@contextlib.contextmanager
def replaced_folder(folder: Path, *, mode: int = 0o777) -> Iterator[Path]:
    """Make a folder anew: what the block fills takes its name when the block ends well, the old one goes then.

    Killed anywhere, the old folder or the new one is there; where the system cannot exchange two folders in one step,
    after `settle_folder`. What a killed writer left is removed by the next. Only who holds the folder may.

    Args:
        folder: need not exist.
        mode: of the new one.
    """
    new, old = _beside(folder, "new"), _beside(folder, "old")
    _settle(folder)
    _remove(new)
    new.mkdir(mode=mode, parents=True)
    try:
        yield new
        if not folder.exists():
            new.rename(folder)
        elif not _exchange(new, folder):
            _remove(old)
            folder.rename(old)
            new.rename(folder)
    finally:
        _remove(new)
        if folder.exists():
            _remove(old)


def settle_folder(folder: Path) -> None:
    """Bring back a folder whose replacement was killed between two steps, unless somebody is at it.

    Raises:
        ResourceError: somebody is, and does not end.
    """
    if not folder.exists() and _beside(folder, "old").exists():
        with hold(folder, wait_s=SETTLING_S):
            _settle(folder)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically; NaN is refused because JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A file name that is not UTF-8 holds surrogates; their escapes are valid JSON.
    write_atomic(path, text.encode(errors="backslashreplace"))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing, no regular file, unreadable or not JSON.
    """
    try:
        return json.loads(read_regular(path, most_bytes=JSON_CAP_BYTES))
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path} as JSON: {error}") from error


def _settle(folder: Path) -> None:
    old = _beside(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)


def _beside(folder: Path, which: str) -> Path:
    return folder.with_name(f".{folder.name}.{which}")


def _remove(folder: Path) -> None:
    """Remove a folder as far as it can be; what is left is hidden, and the next writer tries again."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    names = os.fsencode(one), os.fsencode(other)
    if library.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    if (code := ctypes.get_errno()) in CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _temporary_prefix(path: Path) -> str:
    return f".{path.name[:100]}."


def _create_temporary(path: Path) -> tuple[int, Path]:
    # Not tempfile's, whose files are the user's alone: to open them to others the umask has to be known, and it is read
    # by setting it, which every thread of the process sees.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = path.parent / f"{_temporary_prefix(path)}{os.urandom(4).hex()}{TEMPORARY}"
        with contextlib.suppress(FileExistsError):
            return os.open(temporary, flags, 0o666), temporary


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder for fsync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
