"""A trusted model's external data, read once and put inside: what is hashed is what runs; no engine opens a file."""

from __future__ import annotations

__all__ = ["read_with_external_data"]

from pathlib import Path

from toolkit.errors import ModelError
from toolkit.runtimes.source import MODEL_CAP_BYTES, ModelSource
from toolkit.runtimes.vetting import iterate_tensors


def read_with_external_data(path: Path) -> ModelSource:
    """Read a model and the files beside it that hold its weights.

    Every file has to lie inside the model's own folder, links followed; each is read once.

    Raises:
        ModelError: the model or a file cannot be read, a file lies outside the folder or is shorter than it should be,
            or everything together is over 2 GiB (protobuf's own limit).
    """
    import onnx

    source = ModelSource.read(path)
    try:
        model = onnx.load_model_from_string(source.model)
    except Exception as error:
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    folder = path.resolve().parent
    files: dict[Path, bytes] = {}
    total = len(source.model)
    for tensor in iterate_tensors(model, name=str(path)):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
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
    path = (folder / location).resolve()
    if not location or not path.is_relative_to(folder) or path == folder:
        raise ModelError(f"tensor {name!r} lies in {location!r}, outside the model's own folder; it is not opened")
    if path not in files:
        if not path.is_file():
            raise ModelError(f"tensor {name!r} lies in {location!r}, which is no file in {folder}")
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
