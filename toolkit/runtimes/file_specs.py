"""What a file itself says of its inputs and outputs, for engines that do not tell."""

from __future__ import annotations

__all__ = ["describe_file"]

from typing import Any

import onnx
from onnx import helper

from toolkit.errors import ModelError
from toolkit.runtimes.base import RuntimeInfo, TensorSpec
from toolkit.runtimes.source import ModelSource


def describe_file(
    source: ModelSource, *, runtime: str, version: str, details: dict[str, Any] | None = None
) -> RuntimeInfo:
    """Return what runs, with names, types, shapes and metadata read from the file.

    What an engine then answers is held against it by `Runtime.run`.

    Args:
        source: the model.
        runtime: registry name.
        version: version of the engine.
        details: engine settings worth recording.

    Raises:
        ModelError: an input or output is not a tensor of a type that NumPy has.
    """
    model = onnx.ModelProto.FromString(source.model)
    weights = {item.name for item in model.graph.initializer}
    return RuntimeInfo(
        runtime=runtime,
        version=version,
        provider_active="cpu",
        inputs=tuple(_spec(item) for item in model.graph.input if item.name not in weights),
        outputs=tuple(_spec(item) for item in model.graph.output),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        details=details or {},
    )


def _spec(item: onnx.ValueInfoProto) -> TensorSpec:
    tensor = item.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    except KeyError as error:
        raise ModelError(f"{item.name!r} is no tensor of a type that NumPy has") from error
    if dtype.kind not in "biuf":
        raise ModelError(f"{item.name!r} is a tensor of {dtype}; expected numbers that NumPy has")
    sizes = (dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in tensor.shape.dim)
    return TensorSpec(name=item.name, dtype=str(dtype), shape=tuple(sizes))
