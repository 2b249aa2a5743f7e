"""A float32 graph with its heavy part in float16: weights of half the size, inputs and outputs unchanged."""

from __future__ import annotations

__all__ = ["convert_to_half"]

from copy import deepcopy

import numpy as np
import onnx

from .spec import HEAVY, ExportError

HALF = ".half"
LARGEST_HALF = float(np.finfo(np.float16).max)


def convert_to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that computes in float16 from its first convolution or matrix product to its first output.

    Everything before (casts, standardisation, shifted views) stays in float32: it costs nothing there, and standardised
    pixels are rounded once instead of at every step. A value that is an output of the graph is cast back to float32
    before anything else reads it, so that what follows (softmax, argmax) sees the very numbers that leave.

    Args:
        model: a graph whose float tensors are float32; left unchanged.

    Raises:
        ExportError: a weight is too large for float16 (65,504).
    """
    from onnx import numpy_helper

    half = deepcopy(model)
    graph = half.graph
    weights = {
        item.name: numpy_helper.to_array(item) for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT
    }
    writer = _Writer(weights, floats=_float_names(half), outputs={item.name for item in graph.output})
    for node in list(graph.node):
        writer.add(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(writer.nodes)
    kept = [item for item in graph.initializer if item.name not in writer.halves or item.name in writer.still_read]
    halves = [numpy_helper.from_array(_to_half(name, weights[name]), f"{name}{HALF}") for name in sorted(writer.halves)]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *halves])
    return half


def _float_names(model: onnx.ModelProto) -> set[str]:
    """Return the computed tensors that are float32 by type inference; integers are never cast."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = (*inferred.value_info, *inferred.output)
    return {item.name for item in known if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}


class _Writer:
    """Writes nodes one by one and keeps account of which tensors are float16 by now."""

    def __init__(self, weights: dict[str, np.ndarray], *, floats: set[str], outputs: set[str]) -> None:
        self._weights, self._floats, self._outputs = weights, floats, outputs
        self._half: dict[str, str] = {}  # name in the old graph -> name of its float16 twin
        self.nodes: list[onnx.NodeProto] = []
        self.halves: set[str] = set()
        self.still_read: set[str] = set()

    def add(self, node: onnx.NodeProto) -> None:
        """Write a node as it is, or with float16 inputs and outputs and the casts that it needs."""
        is_half = node.op_type in HEAVY or any(name in self._half and name not in self._outputs for name in node.input)
        if not is_half:
            self.still_read.update(node.input)
            self.nodes.append(node)
            return
        for index, name in enumerate(node.input):
            node.input[index] = self._as_half(name)
        names = list(node.output)
        for index, name in enumerate(names):
            node.output[index] = self._half[name] = f"{name}{HALF}" if name in self._outputs else name
        self.nodes.append(node)
        for name in names:
            if name in self._outputs:
                self._cast(self._half[name], name, to="FLOAT")

    def _as_half(self, name: str) -> str:
        if name in self._weights:
            self.halves.add(name)
            return f"{name}{HALF}"
        if name in self._floats and name not in self._half:
            self._half[name] = f"{name}{HALF}"
            self._cast(name, self._half[name], to="FLOAT16")
        return self._half.get(name, name)

    def _cast(self, source: str, target: str, *, to: str) -> None:
        kind = onnx.TensorProto.DataType.Value(to)
        self.nodes.append(onnx.helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=kind))


def _to_half(name: str, weight: np.ndarray) -> np.ndarray:
    largest = float(np.abs(weight).max(initial=0.0))
    if largest > LARGEST_HALF:
        raise ExportError(f"the weight {name!r} reaches {largest:.3g}; float16 ends at {LARGEST_HALF:g}")
    return weight.astype(np.float16)
