"""A file's bytes, judged with onnx before any engine sees them: engines do open external files, even from bytes."""

from __future__ import annotations

__all__ = ["DEFAULT_DOMAINS", "iterate_graphs", "iterate_tensors", "vet_model"]

import contextlib
import math
from typing import Any

from toolkit.errors import ModelError

DEFAULT_DOMAINS = {"", "ai.onnx"}
NODE_CAP = 200_000
FUNCTION_CAP = 1_000
TENSOR_CAP_BYTES = 4 << 30
# A type that has no name in NumPy is counted as its widest, complex128.
WIDEST_BYTES = 16
# A card takes some 300 kB.
METADATA_CAP_BYTES = 16 << 20


def vet_model(data: bytes, *, name: str, allow_foreign: bool) -> dict[str, Any]:
    """Parse a model and refuse what must not reach an engine.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.
        allow_foreign: accept operators outside ONNX's default domain.

    Returns:
        A summary: `opset`, `domains`, `ir_version`, `operators`, `metadata`, `node_notes` (nodes that carry metadata),
        `weight_types` (numbers in the weights by NumPy's name of their type).

    Raises:
        ModelError: not a model, external data, an absurd size, an unknown operator set, a foreign domain.
    """
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{name} is not an ONNX model: {error}") from error
    if not model.HasField("graph") or not model.opset_import or not model.ir_version:
        raise ModelError(f"{name} is not an ONNX model: it has no graph, no opset or no IR version")
    graphs = list(iterate_graphs(model, name=name))
    _check_sizes(model, graphs, name=name)
    _check_tensors(graphs, name=name)
    domains = sorted(
        {entry.domain for entry in model.opset_import} | {node.domain for graph in graphs for node in graph.node}
    )
    foreign = [domain for domain in domains if domain not in DEFAULT_DOMAINS]
    if (foreign or model.functions) and not allow_foreign:
        raise ModelError(
            f"{name} uses the operator domains {foreign} or local functions; only ONNX's default domain is run here"
        )
    _check_opset(model, name=name)
    return {
        "opset": max(entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS),
        "domains": domains,
        "ir_version": model.ir_version,
        "operators": [node.op_type for node in model.graph.node],
        "metadata": {entry.key: entry.value for entry in model.metadata_props},
        "node_notes": sum(bool(node.metadata_props or node.doc_string) for node in model.graph.node),
        "weight_types": _count_weights(model),
    }


def iterate_tensors(model: Any, *, name: str) -> Any:
    """Yield every tensor that a model holds: weights, attributes, those of nested graphs and functions.

    Args:
        model: an `onnx.ModelProto`.
        name: the file's name, for messages.

    Raises:
        ModelError: there are more nodes than a model has.
    """
    return _tensors(list(iterate_graphs(model, name=name)))


def _count_weights(model: Any) -> dict[str, int]:
    import onnx

    counts: dict[str, int] = {}
    for tensor in model.graph.initializer:
        with contextlib.suppress(KeyError):  # a type that NumPy has no name for says nothing of the arithmetic
            name = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
            counts[name] = counts.get(name, 0) + math.prod(tensor.dims)
    return counts


def iterate_graphs(model: Any, *, name: str) -> Any:
    """Yield the main graph, every nested one and every function body, without recursion.

    Args:
        model: an `onnx.ModelProto`.
        name: the file's name, for messages.

    Raises:
        ModelError: there are more nodes than a model has.
    """
    waiting = [model.graph, *model.functions]
    for part in model.training_info:
        waiting += [part.initialization, part.algorithm]
    seen = 0
    while waiting:
        graph = waiting.pop()
        yield graph
        seen += len(graph.node)
        if seen > NODE_CAP:
            raise ModelError(f"{name} has more than {NODE_CAP} nodes")
        for attribute in _attributes(graph):
            waiting.extend(attribute.graphs)
            if attribute.HasField("g"):
                waiting.append(attribute.g)


def _check_sizes(model: Any, graphs: list[Any], *, name: str) -> None:
    if len(model.functions) > FUNCTION_CAP:
        raise ModelError(f"{name} has {len(model.functions)} local functions; the most is {FUNCTION_CAP}")
    if not any(len(graph.node) for graph in graphs):
        raise ModelError(f"{name} has no nodes")
    if not model.graph.output:
        raise ModelError(f"{name} has no outputs")
    metadata_bytes = sum(entry.ByteSize() for entry in model.metadata_props)
    if metadata_bytes > METADATA_CAP_BYTES:
        raise ModelError(f"{name} has {metadata_bytes} bytes of metadata; the most is {METADATA_CAP_BYTES}")


def _check_tensors(graphs: list[Any], *, name: str) -> None:
    for tensor in _tensors(graphs):
        if tensor.external_data or tensor.data_location == 1:
            raise ModelError(
                f"{name}: tensor {tensor.name!r} lies outside the file; external data is never opened "
                "(toolkit bench --allow-external-data takes it from a model that you trust)"
            )
        _check_shape(tensor, tensor.dims, name=name)
    # Of a sparse tensor the file holds few values, and engines fill in the zeros.
    for sparse in _sparse_tensors(graphs):
        _check_shape(sparse.values, sparse.dims, name=name)


def _check_shape(tensor: Any, shape: Any, *, name: str) -> None:
    size = math.prod(shape) * _item_bytes(tensor.data_type)
    if size > TENSOR_CAP_BYTES or any(side < 0 for side in shape):
        raise ModelError(
            f"{name}: tensor {tensor.name!r} has shape {list(shape)}, {size:,} bytes; the most is {TENSOR_CAP_BYTES:,}"
        )


def _item_bytes(data_type: int) -> int:
    import onnx

    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize)
    except KeyError:
        return WIDEST_BYTES


def _tensors(graphs: list[Any]) -> Any:
    for graph in graphs:
        if hasattr(graph, "initializer"):
            yield from graph.initializer
        for attribute in _attributes(graph):
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
    for sparse in _sparse_tensors(graphs):
        yield from (sparse.values, sparse.indices)


def _sparse_tensors(graphs: list[Any]) -> Any:
    for graph in graphs:
        if hasattr(graph, "sparse_initializer"):
            yield from graph.sparse_initializer
        for attribute in _attributes(graph):
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor
            yield from attribute.sparse_tensors


def _attributes(graph: Any) -> Any:
    """Yield the attributes of every node, and the defaults of a function's own."""
    if hasattr(graph, "attribute_proto"):
        yield from graph.attribute_proto
    for node in graph.node:
        yield from node.attribute


def _check_opset(model: Any, *, name: str) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    if not versions or not 1 <= max(versions) <= newest:
        raise ModelError(f"{name} asks for opset {versions or 'none'}; this onnx knows 1 to {newest}")
