"""How a checkpoint's two files replace the old two together, although a file system replaces one at a time.

A save is a redo log: the new tensors are written as `<name>.next.safetensors`, then the JSON that names their hash
replaces the old one (the commit), then the tensors take their own name. Killed anywhere in between, the JSON names a
file that is whole: the old one, the new one, or the new one under its `.next` name. The next save first brings such a
save to its end.
"""

from __future__ import annotations

__all__ = ["finish_save", "list_saves", "pending_path", "save_pair"]

import contextlib
from pathlib import Path
from typing import Any

from toolkit.durable import move_durably, read_json, sha256_file, write_atomic, write_json
from toolkit.errors import DataError, ResourceError

SUFFIX = ".safetensors"
NEXT = ".next"


def save_pair(path: Path, data: bytes, *, description: dict[str, Any]) -> None:
    """Replace tensors and JSON together.

    Args:
        path: where the tensors lie; the JSON lies beside them.
        data: the tensors' bytes.
        description: holds their hash as `sha256`.

    Raises:
        ResourceError: the file system refused; the old checkpoint is whole, or the new one is.
    """
    pending = pending_path(path)
    # The next save would overwrite the only whole tensors of one that was killed between its commit and its move.
    finish_save(path)
    try:
        write_atomic(pending, data)
        write_json(path.with_suffix(".json"), description)
    except BaseException:
        # The first error is the one to tell. The JSON may have taken its name before it came.
        with contextlib.suppress(ResourceError):
            finish_save(path)
        raise
    # Killed before this line the save is done all the same: readers look for the bytes under both names.
    move_durably(pending, path)


def finish_save(path: Path) -> None:
    """Bring a save that was cut short to its end: tensors that the JSON names take their own name, others are removed.

    Raises:
        ResourceError: the file system refused; what the JSON names is still there.
    """
    pending = pending_path(path)
    if not pending.exists():
        return
    # The hash decides, not the times: only the JSON's commit says which of the two files counts.
    if _is_named(pending, path.with_suffix(".json")):
        move_durably(pending, path)
        return
    try:
        pending.unlink(missing_ok=True)
    except OSError as error:
        raise ResourceError(f"cannot remove {pending}: {error.strerror or error}") from error


def list_saves(folder: Path) -> list[Path]:
    """Return the tensors' paths of a folder's checkpoints, also where only the tensors or only the JSON are there."""
    stems = {path.with_suffix("") for suffix in (SUFFIX, ".json") for path in folder.glob(f"*{suffix}")}
    return sorted(stem.with_name(f"{stem.name}{SUFFIX}") for stem in stems if not stem.name.endswith(NEXT))


def pending_path(path: Path) -> Path:
    """Return where the new tensors lie until the old ones are replaced."""
    return path.with_name(f"{path.stem}{NEXT}{path.suffix}")


def _is_named(tensors: Path, beside: Path) -> bool:
    try:
        return bool(read_json(beside)["sha256"] == sha256_file(tensors))
    except (DataError, OSError, TypeError, KeyError):
        return False
