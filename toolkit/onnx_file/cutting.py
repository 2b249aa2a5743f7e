"""A graph cut at one of its inner tensors: what an engine computed up to there."""

from __future__ import annotations

__all__ = ["InnerTensor", "cut_model", "list_inner_tensors", "list_inputs"]

from typing import NamedTuple

import onnx
import onnx_ir as ir
from onnx_ir.convenience import extract

from toolkit.errors import ModelError
from toolkit.onnx_file.graph_parts import fed_inputs
from toolkit.onnx_file.source import ModelSource


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
    return ModelSource.in_memory(ir.to_proto(_cut(source, tensor)).SerializeToString(), source.path)


def _cut(source: ModelSource, tensor: str) -> ir.Model:
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
