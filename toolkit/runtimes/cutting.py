"""A graph cut at one of its inner tensors: what an engine computed up to there."""

from __future__ import annotations

__all__ = ["InnerTensor", "cut_model", "list_inner_tensors", "list_inputs", "names_used"]

from typing import NamedTuple

import onnx
from onnx import NodeProto, TensorProto, helper

from toolkit.durable import sha256_bytes
from toolkit.runtimes.source import ModelSource


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
    """
    graph = onnx.ModelProto.FromString(source.model).graph
    return tuple(
        InnerTensor(name, node.op_type, tuple(node.input))
        for node, name in _needed(list(graph.node), output)
        if node.op_type != "Constant"
    )


def list_inputs(source: ModelSource) -> tuple[str, ...]:
    """Return the names of what a graph is fed."""
    graph = onnx.ModelProto.FromString(source.model).graph
    weights = {item.name for item in graph.initializer}
    return tuple(item.name for item in graph.input if item.name not in weights)


def cut_model(source: ModelSource, tensor: str) -> ModelSource:
    """Return the model with one tensor as its only output, and only the nodes and inputs that it needs.

    The path is kept for messages; the hash is the cut file's own.
    """
    model = onnx.ModelProto.FromString(source.model)
    declared = _declared(model)
    nodes = list(model.graph.node)
    keep = {id(node) for node, _ in _needed(nodes, tensor)}
    kept = [node for node in nodes if id(node) in keep]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    del model.graph.output[:]
    model.graph.output.append(declared.get(tensor) or helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    used = names_used(model.graph)
    weights = [item for item in model.graph.initializer if item.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    # Some engines drop an input that nothing reads, and then refuse to be fed it.
    inputs = [item for item in model.graph.input if item.name in used]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    data = model.SerializeToString()
    return ModelSource(model=data, sha256=sha256_bytes(data), path=source.path, run=None)


def _needed(nodes: list[NodeProto], tensor: str) -> list[tuple[NodeProto, str]]:
    """Return the nodes on which a tensor depends with their first output, in order; subgraphs count with their node."""
    wanted, found = {tensor}, []
    for node in reversed(nodes):
        made = wanted.intersection(node.output)
        if made:
            found.append((node, tensor if tensor in made else next(name for name in node.output if name in made)))
            wanted.update(filter(None, node.input))  # an input or output that is left out has an empty name
            wanted.update(name for item in node.attribute if item.HasField("g") for name in names_used(item.g))
    return found[::-1]


def names_used(graph: onnx.GraphProto) -> set[str]:
    """Return every tensor that a graph or one nested in it reads, or gives back."""
    names = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= names_used(attribute.g)
    return names


def _declared(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Return what shape inference finds of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {item.name: item for item in (*graph.value_info, *graph.output)}
