"""Casts of inputs and argmaxes of outputs taken out of a file and done by NumPy, for engines that have neither."""

from __future__ import annotations

__all__ = ["Edges", "cut_edges"]

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """A file without the operators at its edges, and what is to be done in their place.

    Attributes:
        model: the bytes of the rest.
        casts: for an input, the NumPy type that the rest takes it in.
        argmaxes: for an output, the output that its argmax is of, the axis, and whether that is kept.
        outputs: the outputs of the rest, in order.
    """

    model: bytes
    casts: dict[str, np.dtype[Any]]
    argmaxes: dict[str, tuple[str, int, bool]]
    outputs: tuple[str, ...]

    def describe(self) -> list[str]:
        """Return what NumPy does, for reports."""
        return [*(f"Cast of {name}" for name in self.casts), *(f"ArgMax to {name}" for name in self.argmaxes)]

    def enter(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Return the inputs of the rest."""
        return {name: array.astype(self.casts.get(name, array.dtype)) for name, array in feeds.items()}

    def leave(self, values: Arrays) -> dict[str, NDArray[Any]]:
        """Return the file's outputs from those of the rest."""
        found = dict(values)
        for name, (source, axis, keeps) in self.argmaxes.items():
            label: NDArray[Any] = values[source].argmax(axis, keepdims=keeps)
            found[name] = label.astype(np.int64)
        return found


def cut_edges(source: ModelSource) -> Edges:
    """Return a file without casts of its inputs and argmaxes of its outputs.

    Only what can be taken out without a trace is: an input that nothing but its cast reads, the argmax of a tensor that
    is an output too, and itself read by nothing. The others stay, and the engine refuses them.
    """
    model = onnx.ModelProto.FromString(source.model)
    graph = model.graph
    reads = Counter(name for node in graph.node for name in node.input)
    inputs, outputs = {item.name: item for item in graph.input}, {item.name: item for item in graph.output}
    casts: dict[str, np.dtype[Any]] = {}
    argmaxes: dict[str, tuple[str, int, bool]] = {}
    for node in list(graph.node):
        kind, first, result = node.op_type, next(iter(node.input), ""), next(iter(node.output), "")
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if kind == "Cast" and first in inputs and reads[first] == 1 and result not in outputs:
            casts[first] = helper.tensor_dtype_to_np_dtype(attributes["to"])
            inputs[first].type.tensor_type.elem_type = attributes["to"]
            _rename(graph, result, first)
        elif kind == "ArgMax" and first in outputs and not reads[result] and not attributes.get("select_last_index"):
            argmaxes[result] = (first, attributes.get("axis", 0), bool(attributes.get("keepdims", 1)))
            graph.output.remove(outputs[result])
        else:
            continue
        graph.node.remove(node)
    names = tuple(item.name for item in graph.output)
    return Edges(model=model.SerializeToString(), casts=casts, argmaxes=argmaxes, outputs=names)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
