"""A trusted model's external data, read once and put inside: what is hashed is what runs; no engine opens a file."""

from __future__ import annotations

__all__ = ["Found", "look_beside", "read_model", "read_with_external_data"]

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from toolkit.errors import ModelError
from toolkit.runtimes.file_facts import BesideFile
from toolkit.runtimes.graph_parts import is_external, iterate_tensors
from toolkit.runtimes.source import MODEL_CAP_BYTES, ModelSource
from toolkit.runtimes.vetting import parse_model


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


def read_model(path: Path, *, allow_external_data: bool) -> ModelSource:
    """Read a model, and the files beside it where they are trusted.

    Raises:
        ModelError: as `read_with_external_data`.
    """
    return read_with_external_data(path) if allow_external_data else ModelSource.read(path)


def read_with_external_data(path: Path) -> ModelSource:
    """Read a model and the files beside it that hold its weights.

    Every file has to lie inside the model's own folder, links followed; each is read once.

    Raises:
        ModelError: the model or a file cannot be read, a file lies outside the folder or is shorter than it should be,
            or everything together is over 2 GiB (protobuf's own limit).
    """
    import onnx

    source = ModelSource.read(path)
    model = parse_model(source.model, name=str(path))
    folder = path.resolve().parent
    files: dict[Path, bytes] = {}
    total = len(source.model)
    for tensor in iterate_tensors(model, name=str(path)):
        if not is_external(tensor):
            continue
        place = {entry.key: entry.value for entry in tensor.external_data}
        data = _read_inside(folder, place.get("location", ""), tensor.name, files)
        start = _whole(place.get("offset", "0"), tensor.name)
        length = _whole(place["length"], tensor.name) if "length" in place else len(data) - start
        if not 0 <= length <= len(data) - start:
            raise ModelError(
                f"tensor {tensor.name!r} wants bytes {start} to {start + length} of {place['location']}, "
                f"which has {len(data)}"
            )
        total += length
        if total > MODEL_CAP_BYTES:
            raise ModelError(
                f"{path} and its data are over {MODEL_CAP_BYTES} bytes together, which is protobuf's limit"
            )
        tensor.raw_data = data[start : start + length]
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
    if not files:
        return source
    return ModelSource.in_memory(model.SerializeToString(), path)


def _read_inside(folder: Path, location: str, name: str, files: dict[Path, bytes]) -> bytes:
    path = _inside(folder, location)
    if path is None:
        raise ModelError(f"tensor {name!r} lies in {location!r}, outside the model's own folder; it is not opened")
    if path not in files:
        if not path.is_file():
            raise ModelError(f"tensor {name!r} lies in {location!r}, which is no file in {folder}; put it there")
        if path.stat().st_size > MODEL_CAP_BYTES:
            raise ModelError(f"{location!r} has {path.stat().st_size} bytes; the most is {MODEL_CAP_BYTES}")
        try:
            files[path] = path.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read {location!r} of tensor {name!r}: {error.strerror}") from error
    return files[path]


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ModelError(f"tensor {name!r} has the offset or length {text!r}; expected a whole number")
    return int(text)
