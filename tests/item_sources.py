"""Sources for tests: archives with any member, and what comes out of them."""

from __future__ import annotations

__all__ = ["SEVEN_PNG", "list_items", "messages_of", "npy_bytes", "tar_member", "write_tar", "write_zip"]

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from imaging_samples import draw_seven, encode

from toolkit.prediction.sources.items import ImageItem, Item
from toolkit.prediction.sources.open import open_items

SEVEN_PNG = encode(draw_seven())


def list_items(*inputs: Path | str, notes: list[str] | None = None, stdin: BinaryIO | None = None) -> list[Item]:
    """Open sources and return all that they give."""
    return list(open_items(inputs, on_note=None if notes is None else notes.append, stdin=stdin))


def messages_of(items: Sequence[Item]) -> list[str]:
    """Return the reasons of the items without content, in order."""
    return [item.message for item in items if isinstance(item, ImageItem) and item.content is None]


def npy_bytes(array: np.ndarray) -> bytes:
    """Return an array as an NPY file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_zip(path: Path, members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a ZIP archive."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a tar member with any header fields."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def write_tar(
    path: Path, members: Sequence[tuple[tarfile.TarInfo, bytes]], *, packed: str = "", kind: int = tarfile.PAX_FORMAT
) -> Path:
    """Write a tar archive, packed with `gz`, `bz2`, `xz` or nothing."""
    with tarfile.open(path, f"w:{packed}", format=kind) as archive:  # type: ignore[call-overload]  # one mode of many
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path
