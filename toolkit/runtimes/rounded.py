"""Any file in float64, what its nodes make rounded to the 16 bits that the file gives it. No engine."""

from __future__ import annotations

__all__ = ["RoundedRuntime"]

from collections.abc import Iterator
from typing import ClassVar

import onnx
from onnx import NodeProto, TensorProto, helper, shape_inference

from toolkit.runtimes.widened import WidenedRuntime, widen_model

HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
# Behind a tensor's name: what its node makes, and that in 16 bits.
EXACT, ROUNDED = "#exact", "#rounded"


class RoundedRuntime(WidenedRuntime):
    """A file evaluated in float64, every float16 and bfloat16 of its main graph rounded once, as its types say.

    On a CPU, ONNX Runtime computes most of such a file in float32 and leaves the roundings out, so that its error does
    not tell what they do; an engine that takes the file at its word makes them.
    """

    name: ClassVar[str] = "onnx-rounded"

    def _widen(self, model: onnx.ModelProto) -> onnx.ModelProto:
        inferred = shape_inference.infer_shapes(model).graph
        kinds = {item.name: item.type.tensor_type.elem_type for item in (*inferred.value_info, *inferred.output)}
        halves = {name: kind for name, kind in kinds.items() if kind in HALVES}
        wide = widen_model(model)
        nodes = [item for node in wide.graph.node for item in _with_roundings(node, halves)]
        del wide.graph.node[:]
        wide.graph.node.extend(nodes)
        self._narrowed = {name + ROUNDED for name in halves}
        return wide


def _with_roundings(node: NodeProto, halves: dict[str, int]) -> Iterator[NodeProto]:
    yield node
    for index, name in enumerate(node.output):
        if name in halves:
            node.output[index] = name + EXACT
            yield helper.make_node("Cast", [name + EXACT], [name + ROUNDED], to=halves[name])
            yield helper.make_node("Cast", [name + ROUNDED], [name], to=TensorProto.DOUBLE)
