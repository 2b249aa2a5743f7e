"""Every graph, node and tensor of a parsed model, wherever it lies: walked once, for all who look at one."""

from __future__ import annotations

__all__ = [
    "DEFAULT_DOMAINS",
    "all_tensors",
    "declared_sizes",
    "declared_spec",
    "fed_inputs",
    "find_attribute",
    "has_zero",
    "is_external",
    "iterate_graphs",
    "iterate_parts",
    "iterate_tensors",
    "name_type",
    "names_used",
    "sparse_tensors",
    "weigh_tensors",
]

import math
from collections.abc import Iterable, Iterator
from typing import Any

from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import TensorSpec

DEFAULT_DOMAINS = {"", "ai.onnx"}
NODE_CAP = 200_000


def iterate_tensors(model: Any, *, name: str) -> Iterator[Any]:
    """Yield every tensor that a model holds: weights, attributes, those of nested graphs and functions.

    Args:
        model: an `onnx.ModelProto`.
        name: the file's name, for messages.

    Raises:
        ModelError: there are more nodes than a model has.
    """
    return all_tensors(iterate_graphs(model, name=name))


def declared_sizes(value: Any) -> tuple[int | str | None, ...]:
    """Return the sizes that an `onnx.ValueInfoProto` declares; none where it is no tensor or tells no rank.

    A size is a name or None where it is open: exporters write 0 or less, too, where they do not know it.
    """
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.dim_value > 0 else (dim.dim_param or None) for dim in dims)


def declared_spec(value: Any) -> TensorSpec:
    """Return what an `onnx.ValueInfoProto` declares; of what is no tensor the type in ONNX Runtime's words.

    Raises:
        ModelError: its type has no name.
    """
    try:
        if not value.type.tensor_type.elem_type:
            return TensorSpec(name=value.name, dtype=_type_in_words(value.type), shape=())
        dtype = _element(value.type.tensor_type.elem_type)
    except KeyError as error:
        raise ModelError(f"{value.name!r} is of element type {error}, which this onnx does not know") from error
    return TensorSpec(name=value.name, dtype=dtype, shape=declared_sizes(value))


def fed_inputs(graph: Any) -> list[Any]:
    """Return the inputs that an `onnx.GraphProto` has to be fed: one that is a weight too has that for its default."""
    held = {item.name for item in graph.initializer} | {item.values.name for item in graph.sparse_initializer}
    return [item for item in graph.input if item.name not in held]


def has_zero(value: Any) -> bool:
    """Tell whether a declared size of an `onnx.ValueInfoProto` is 0, with which engines take no item."""
    return any(dim.HasField("dim_value") and not dim.dim_value for dim in value.type.tensor_type.shape.dim)


def weigh_tensors(graphs: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Return tensors and numbers by their type: initialisers of every graph, dense or sparse, and Constant nodes.

    Args:
        graphs: as `iterate_graphs` yields them.
    """
    found: dict[str, tuple[int, int]] = {}
    for dtype, numbers in _weights(graphs):
        tensors, total = found.get(dtype, (0, 0))
        found[dtype] = (tensors + 1, total + numbers)
    return found


def _weights(graphs: Iterable[Any]) -> Iterator[tuple[str, int]]:
    for graph in graphs:
        for tensor in getattr(graph, "initializer", ()):
            yield name_type(tensor.data_type), math.prod(tensor.dims)
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield name_type(sparse.values.data_type), math.prod(sparse.values.dims)
        for node in graph.node:
            if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS:
                yield from map(_constant, node.attribute)


def _constant(attribute: Any) -> tuple[str, int]:
    """Return type and size of what a Constant node holds; its attributes are alternatives (ONNX, Constant)."""
    match attribute.name:
        case "value":
            return name_type(attribute.t.data_type), math.prod(attribute.t.dims)
        case "sparse_value":
            values = attribute.sparse_tensor.values
            return name_type(values.data_type), math.prod(values.dims)
        case "value_float" | "value_floats":
            return "float32", len(attribute.floats) or 1
        case "value_int" | "value_ints":
            return "int64", len(attribute.ints) or 1
    return "string", len(attribute.strings) or 1


def name_type(data_type: int) -> str:
    """Return NumPy's name of a tensor's element type, ml_dtypes' where NumPy has none: `bfloat16`, `int4`, `string`."""
    import onnx

    try:
        name = str(onnx.helper.tensor_dtype_to_np_dtype(data_type))
    except KeyError:
        return f"type {data_type}"
    return "string" if name == "object" else name


def find_attribute(node: Any, name: str) -> Any:
    """Return a node's attribute; None where it has none of that name."""
    return next((item for item in node.attribute if item.name == name), None)


def names_used(graph: Any) -> set[str]:
    """Return every tensor that a graph or one nested in it reads, or gives back."""
    names = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= names_used(attribute.g)
    return names


def is_external(tensor: Any) -> bool:
    """Whether a tensor's numbers lie in another file, or are said to."""
    return bool(tensor.external_data) or tensor.data_location == 1


def iterate_graphs(model: Any, *, name: str) -> Iterator[Any]:
    """Yield the main graph, every nested one and every function body; as `iterate_parts`."""
    return (graph for graph, _ in iterate_parts(model, name=name))


def iterate_parts(model: Any, *, name: str) -> Iterator[tuple[Any, Any]]:
    """Yield every graph and function body with the opset imports that hold for its nodes, without recursion.

    Args:
        model: an `onnx.ModelProto`.
        name: the file's name, for messages.

    Raises:
        ModelError: there are more nodes than a model has.
    """
    waiting = [(model.graph, model.opset_import), *((item, item.opset_import) for item in model.functions)]
    for part in model.training_info:
        waiting += [(part.initialization, model.opset_import), (part.algorithm, model.opset_import)]
    seen = 0
    while waiting:
        graph, imports = waiting.pop()
        yield graph, imports
        seen += len(graph.node)
        if seen > NODE_CAP:
            raise ModelError(f"{name} has more than {NODE_CAP} nodes")
        for attribute in _attributes(graph):
            waiting.extend((inner, imports) for inner in attribute.graphs)
            if attribute.HasField("g"):
                waiting.append((attribute.g, imports))


def all_tensors(graphs: Iterable[Any]) -> Iterator[Any]:
    """Yield every tensor of some graphs; of a sparse one its values and its indices."""
    graphs = list(graphs)
    for graph in graphs:
        yield from getattr(graph, "initializer", ())
        for attribute in _attributes(graph):
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
    for sparse in sparse_tensors(graphs):
        yield from (sparse.values, sparse.indices)


def sparse_tensors(graphs: Iterable[Any]) -> Iterator[Any]:
    """Yield every sparse tensor of some graphs."""
    for graph in graphs:
        yield from getattr(graph, "sparse_initializer", ())
        for attribute in _attributes(graph):
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor
            yield from attribute.sparse_tensors


def _attributes(graph: Any) -> Iterator[Any]:
    """Yield the attributes of every node, and the defaults of a function's own."""
    if hasattr(graph, "attribute_proto"):
        yield from graph.attribute_proto
    for node in graph.node:
        yield from node.attribute


def _element(number: int) -> str:
    from onnx import TensorProto, helper

    return "string" if number == TensorProto.STRING else helper.tensor_dtype_to_np_dtype(number).name


def _type_in_words(kind: Any) -> str:
    """Return a type in ONNX Runtime's words: `seq(map(int64,tensor(float)))`."""
    from onnx import TensorProto

    if kind.HasField("sequence_type"):
        return f"seq({_type_in_words(kind.sequence_type.elem_type)})"
    if kind.HasField("optional_type"):
        return f"optional({_type_in_words(kind.optional_type.elem_type)})"
    if kind.HasField("map_type"):
        return f"map({_element(kind.map_type.key_type)},{_type_in_words(kind.map_type.value_type)})"
    if kind.tensor_type.elem_type:
        return f"tensor({TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()})"
    return f"({kind.WhichOneof('value') or 'no type'})"
