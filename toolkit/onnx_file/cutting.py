"""A graph cut at an inner tensor, with all tensors exposed, or taken apart into nodes that are fed given values."""

from __future__ import annotations

__all__ = [
    "MADE",
    "InnerTensor",
    "LooseNode",
    "cut_model",
    "expose_tensors",
    "list_inner_tensors",
    "list_inputs",
    "list_made",
    "take_apart",
]

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, ValueInfoProto, helper, numpy_helper

from toolkit.counts import count_of
from toolkit.errors import ModelError
from toolkit.onnx_file.graph_parts import fed_inputs, names_used
from toolkit.onnx_file.source import ModelSource

if TYPE_CHECKING:
    import onnx_ir as ir


# What a node makes of given values is another tensor than the one that the next node is given.
MADE = "#made"
# Sizes, axes and the like are known when a graph is built; engines want them so.
STATIC_RANK = 1


class InnerTensor(NamedTuple):
    """One tensor that a node of the main graph computes.

    Attributes:
        name: the tensor's.
        operator: the node's kind.
        inputs: what the node takes.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]


def list_inner_tensors(source: ModelSource, output: str) -> tuple[InnerTensor, ...]:
    """Return the tensors on which an output depends, in the order of the graph, the output itself last.

    Args:
        source: the model.
        output: one of its outputs.

    Raises:
        ModelError: the graph cannot be cut.
    """
    return tuple(
        InnerTensor(_needed_name(node), node.op_type, tuple((value and value.name) or "" for value in node.inputs))
        for node in _cut(source, output).graph
        if node.op_type != "Constant"
    )


def list_inputs(source: ModelSource) -> tuple[str, ...]:
    """Return the names of what a graph is fed."""
    return tuple(item.name for item in fed_inputs(onnx.ModelProto.FromString(source.model).graph))


def cut_model(source: ModelSource, tensor: str) -> ModelSource:
    """Return the model with one tensor as its only output, and only the nodes and inputs that it needs.

    The path is kept for messages; the hash is the cut file's own.

    Raises:
        ModelError: the graph cannot be cut.
    """
    import onnx_ir as ir

    return ModelSource.in_memory(ir.to_proto(_cut(source, tensor)).SerializeToString(), source.path)


class LooseNode(NamedTuple):
    """One node of the main graph.

    Attributes:
        number: its place among the graph's nodes, from 0.
        name: its name, else its first output's.
        operator: its kind.
        domain: of the operator; empty for ONNX's own.
        opset: version of that domain that the file asks for.
        attributes: by name, in words.
        outputs: the tensors that it makes.
    """

    number: int
    name: str
    operator: str
    domain: str
    opset: int
    attributes: dict[str, str]
    outputs: tuple[str, ...]


def list_made(source: ModelSource) -> tuple[str, ...]:
    """Return the tensors that the nodes of the main graph make, constants left out."""
    nodes = onnx.ModelProto.FromString(source.model).graph.node
    return tuple(name for node in nodes if not _is_constant(node) for name in node.output if name)


def expose_tensors(source: ModelSource, dtypes: Mapping[str, str] | None = None) -> ModelSource:
    """Return the file with every tensor of its main graph as an output.

    Args:
        source: the model.
        dtypes: NumPy's names of the element types of those to be exposed; None for all, of types that the engine finds.
    """
    model = onnx.ModelProto.FromString(source.model)
    made = dict.fromkeys(name for node in model.graph.node for name in node.output if name)
    kept = [item for item in model.graph.output if dtypes is None or item.name in dtypes]
    shown = {item.name for item in kept}
    del model.graph.output[:]
    model.graph.output.extend(kept)
    for name in made:
        if name in shown or (dtypes is not None and name not in dtypes):
            continue
        model.graph.output.append(
            ValueInfoProto(name=name) if dtypes is None else _declare(name, dtypes[name], shape=None)
        )
    return ModelSource.in_memory(model.SerializeToString(), source.path)


def take_apart(
    source: ModelSource, values: Mapping[str, NDArray[Any]], *, only: LooseNode | None = None
) -> tuple[ModelSource, dict[str, NDArray[Any]], tuple[LooseNode, ...]]:
    """Return a model in which every node takes given values instead of what other nodes made.

    Args:
        source: the model.
        values: tensors of the main graph with the file's own element types, its inputs among them.
        only: one node instead of all; its sizes, axes and the like, whole numbers of at most one axis, are weights.

    Returns:
        The model, whose outputs are called as the node's own with `MADE` behind; what it is fed; its nodes. A node
        that takes or makes anything that is not in `values` is left out.
    """
    model = onnx.ModelProto.FromString(source.model)
    graph, opsets = model.graph, {item.domain: item.version for item in model.opset_import}
    constants = {name for node in graph.node if _is_constant(node) for name in node.output}
    known = constants | {item.name for item in graph.initializer}
    # An input that is a weight too has the weight for its default.
    loose = [
        (number, node)
        for number, node in enumerate(graph.node)
        if not _is_constant(node)
        and (only is None or number == only.number)
        and all(name in known or name in values for name in _takes(node))
        and all(name in values for name in node.output if name)
    ]
    taken = {name for _, node in loose for name in _takes(node)}
    static = {name for name in taken - known if only is not None and _is_static(values[name])}
    feeds = {name: values[name] for name in sorted(taken - known - static)}
    kept = [node for node in graph.node if _is_constant(node) and taken.intersection(node.output)]
    _replace(graph.input, [_declare(name, str(array.dtype), shape=array.shape) for name, array in feeds.items()])
    weights = [item for item in graph.initializer if item.name in taken]
    _replace(graph.initializer, [*weights, *(numpy_helper.from_array(values[name], name) for name in sorted(static))])
    outputs = [
        _declare(name + MADE, str(values[name].dtype), shape=None) for _, node in loose for name in node.output if name
    ]
    described = tuple(_describe(number, node, opsets=opsets) for number, node in loose)
    _replace(graph.output, outputs)
    _replace(graph.node, [*kept, *(_renamed(node) for _, node in loose)])
    del graph.value_info[:]
    return ModelSource.in_memory(model.SerializeToString(), source.path), feeds, described


def _cut(source: ModelSource, tensor: str) -> ir.Model:
    import onnx_ir as ir  # half a second; a graph is taken apart without it
    from onnx_ir.convenience import extract

    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(source.model)))
    try:
        graph = extract(model.graph, inputs=list(model.graph.inputs), outputs=[tensor])
    except ValueError as error:  # a sparse weight, of which the library knows nothing
        raise ModelError(f"{source.path.name} cannot be cut at {tensor!r}: {error}") from error
    (output,) = graph.outputs
    # Some engines drop an input that nothing reads, and then refuse to be fed it.
    graph.inputs[:] = [value for value in graph.inputs if value.uses() or value is output]
    for name in [name for name, value in graph.initializers.items() if not value.uses() and value is not output]:
        del graph.initializers[name]
    if output.type is None:
        output.type = ir.TensorType(ir.DataType.FLOAT)
    return ir.Model(graph, ir_version=model.ir_version, functions=tuple(model.functions.values()))


def _needed_name(node: ir.Node) -> str:
    return next(value.name or "" for value in node.outputs if value.uses() or value.is_graph_output())


def _describe(number: int, node: NodeProto, *, opsets: Mapping[str, int]) -> LooseNode:
    outputs = tuple(name for name in node.output if name)
    domain = "" if node.domain == "ai.onnx" else node.domain
    return LooseNode(
        number=number,
        name=node.name or outputs[0],
        operator=node.op_type,
        domain=domain,
        opset=opsets.get(node.domain, opsets.get(domain, opsets.get("ai.onnx", 0))),
        attributes={item.name: _in_words(item) for item in node.attribute},
        outputs=outputs,
    )


def _in_words(attribute: AttributeProto) -> str:
    if attribute.HasField("g"):
        return f"a graph of {count_of(len(attribute.g.node), 'node')}"
    if attribute.HasField("t"):
        return f"a tensor of {list(attribute.t.dims)}"
    value = helper.get_attribute_value(attribute)
    if isinstance(value, float):
        return f"{value:.6g}"
    words = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return words if len(words) <= 80 else f"{words[:80]}..."


def _takes(node: NodeProto) -> set[str]:
    """Return the tensors that a node reads, those of the main graph that its branches or bodies read among them."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
            names |= names_used(graph) - set(_made_inside(graph))
    return names


def _made_inside(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (item.name for item in (*graph.input, *graph.initializer))
    yield ""
    for node in graph.node:
        yield from node.output
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _made_inside(attribute.g)


def _renamed(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.output[:] = [name + MADE if name else "" for name in node.output]
    return copy


def _declare(name: str, dtype: str, *, shape: tuple[int, ...] | None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _is_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and node.domain in {"", "ai.onnx"}


def _is_static(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iub" and array.ndim <= STATIC_RANK


def _replace(field: Any, items: Iterable[Any]) -> None:
    kept = list(items)
    del field[:]
    field.extend(kept)
