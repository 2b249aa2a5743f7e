"""A trusted model's external data, put inside by onnx: what is hashed is what runs; no engine opens a file."""

from __future__ import annotations

__all__ = ["Found", "look_beside", "read_model"]

import stat
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import ModelError, first_line
from toolkit.onnx_file.facts import BesideFile
from toolkit.onnx_file.graph_parts import is_external, iterate_tensors
from toolkit.onnx_file.source import MODEL_CAP_BYTES, ModelSource
from toolkit.onnx_file.vetting import parse_model


class Found(NamedTuple):
    """A file beside a model, looked for and not opened.

    Attributes:
        file: as the model names it.
        size_bytes: its size; None where it is not there or not looked at.
        state: `present`, `short`, `missing`, `no file`, or `outside` the model's own folder, where none is looked at.
    """

    file: BesideFile
    size_bytes: int | None
    state: str


def look_beside(path: Path, files: Iterable[BesideFile]) -> tuple[Found, ...]:
    """Return what of the files that a model names is there.

    Args:
        path: the model's.
        files: as the model names them.
    """
    folder = path.resolve().parent
    return tuple(_look_at(folder, file) for file in files)


def read_model(path: Path, *, allow_external_data: bool) -> ModelSource:
    """Read a model, and the files beside it where they are trusted.

    Raises:
        ModelError: the model or a file cannot be read, a file lies outside the folder, is a link or is shorter than it
            should be, or everything together is over 2 GiB (protobuf's own limit).
    """
    return _read_with_external_data(path) if allow_external_data else ModelSource.read(path)


def _look_at(folder: Path, file: BesideFile) -> Found:
    place = _inside(folder, file.location)
    if place is None:
        return Found(file, None, "outside")
    try:
        found = place.stat()
    except OSError:
        return Found(file, None, "missing")
    if not stat.S_ISREG(found.st_mode):
        return Found(file, None, "no file")
    return Found(file, found.st_size, "short" if found.st_size < file.ends_at else "present")


def _inside(folder: Path, location: str) -> Path | None:
    """Return where a location lies, links followed; None where that is outside the folder or the system refuses it."""
    try:
        place = (folder / location).resolve()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return None
    return place if location and place.is_relative_to(folder) and place != folder else None


def _read_with_external_data(path: Path) -> ModelSource:
    """Read a model and the files beside it that hold its weights.

    Every file has to lie inside the model's own folder and be a regular one, under its only name: no link of any kind.
    """
    source = ModelSource.read(path)
    model = parse_model(source.model, name=str(path))
    folder = path.resolve().parent
    total = len(source.model)
    external = [tensor for tensor in iterate_tensors(model, name=str(path)) if is_external(tensor)]
    for tensor in external:
        total += _load(tensor, folder)
        if total > MODEL_CAP_BYTES:
            raise ModelError(
                f"{path} and its data are over {MODEL_CAP_BYTES} bytes together, which is protobuf's limit"
            )
    return ModelSource.in_memory(model.SerializeToString(), path) if external else source


def _load(tensor: Any, folder: Path) -> int:
    """Put a tensor's bytes inside it and return how many they are."""
    from onnx.checker import ValidationError
    from onnx.external_data_helper import load_external_data_for_tensor

    location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    place = _inside(folder, location)
    if place is None:
        raise ModelError(
            f"tensor {tensor.name!r} lies in {location!r}, outside the model's own folder; it is not opened"
        )
    try:
        # A tensor that tells no length takes the rest of its file.
        if place.stat().st_size > MODEL_CAP_BYTES:
            raise ModelError(f"{location!r} has {place.stat().st_size} bytes; the most is {MODEL_CAP_BYTES}")
        with warnings.catch_warnings(action="ignore"):  # of keys that onnx does not know and does not read
            load_external_data_for_tensor(tensor, str(folder))
    except FileNotFoundError as error:
        raise ModelError(
            f"tensor {tensor.name!r} lies in {location!r}, which is no file in {folder}; put it there"
        ) from error
    except (OSError, RuntimeError, ValueError, ValidationError) as error:
        raise ModelError(f"tensor {tensor.name!r} cannot be read from {location!r}: {first_line(error)}") from error
    return len(tensor.raw_data)
