"""What a file itself says of its inputs and outputs, for engines that do not tell."""

from __future__ import annotations

__all__ = ["describe_file", "open_zero_sizes"]

from dataclasses import replace
from typing import Any

import onnx
from onnx import TensorProto, TypeProto, helper

from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.graph_parts import declared_sizes, fed_inputs
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeInfo


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
        ModelError: an input or output is of a type that has no name.
    """
    model = onnx.ModelProto.FromString(source.model)
    return RuntimeInfo(
        runtime=runtime,
        version=version,
        provider_active="cpu",
        inputs=tuple(map(_spec, fed_inputs(model.graph))),
        outputs=tuple(map(_spec, model.graph.output)),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        details=details or {},
    )


def open_zero_sizes(source: ModelSource) -> ModelSource:
    """Return the file with every size of an input that it declares as 0 left open."""
    model = onnx.ModelProto.FromString(source.model)
    for item in model.graph.input:
        for dim in item.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and not dim.dim_value:
                dim.ClearField("dim_value")
    return replace(source, model=model.SerializeToString())


def _spec(item: onnx.ValueInfoProto) -> TensorSpec:
    try:
        if not item.type.tensor_type.elem_type:
            return TensorSpec(name=item.name, dtype=_words(item.type), shape=())
        dtype = _element(item.type.tensor_type.elem_type)
    except KeyError as error:
        raise ModelError(f"{item.name!r} is of element type {error}, which this onnx does not know") from error
    return TensorSpec(name=item.name, dtype=dtype, shape=declared_sizes(item))


def _element(number: int) -> str:
    return "string" if number == TensorProto.STRING else helper.tensor_dtype_to_np_dtype(number).name


def _words(kind: TypeProto) -> str:
    """Return a type in ONNX Runtime's words: `seq(map(int64,tensor(float)))`."""
    if kind.HasField("sequence_type"):
        return f"seq({_words(kind.sequence_type.elem_type)})"
    if kind.HasField("optional_type"):
        return f"optional({_words(kind.optional_type.elem_type)})"
    if kind.HasField("map_type"):
        return f"map({_element(kind.map_type.key_type)},{_words(kind.map_type.value_type)})"
    if kind.tensor_type.elem_type:
        return f"tensor({TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()})"
    return f"({kind.WhichOneof('value') or 'no type'})"
