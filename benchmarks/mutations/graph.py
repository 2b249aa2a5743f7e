"""Edits of an exported graph, from which faults are made."""

from __future__ import annotations

__all__ = ["Fault", "Graph", "make_mutant"]

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


class Graph:
    """A model that is being changed in place.

    Args:
        model: the model; its card is never touched.
        donor: the same network from another seed's run.
    """

    def __init__(self, model: onnx.ModelProto, *, donor: onnx.ModelProto) -> None:
        self.model = model
        self._donor = donor
        # Shapes that an exporter noted inside would contradict a changed graph; an engine infers them.
        del model.graph.value_info[:]

    def array(self, ending: str) -> Array:
        """Return the weights whose name ends so."""
        return numpy_helper.to_array(_tensor(self.model, ending))

    def donated(self, ending: str) -> Array:
        """Return the same weights of another seed's run."""
        return numpy_helper.to_array(_tensor(self._donor, ending))

    def edit(self, ending: str, change: Callable[[Array], Array]) -> None:
        """Replace weights by a function of them; the type stays, the shape may change."""
        tensor = _tensor(self.model, ending)
        before = numpy_helper.to_array(tensor)
        after = np.ascontiguousarray(change(before.copy())).astype(before.dtype)
        tensor.CopyFrom(numpy_helper.from_array(after.reshape(after.shape if before.ndim else ()), tensor.name))

    def edit_weights(self, change: Callable[[Array], Array]) -> None:
        """Replace all weights and biases by a function of them."""
        for tensor in self.model.graph.initializer:
            if tensor.name.endswith((".weight", ".bias")):
                self.edit(tensor.name, change)

    def constant(self, value: Array) -> str:
        """Add a constant and return its name."""
        name = f"fault_{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, number: int = 0) -> onnx.NodeProto:
        """Return the n-th node of a kind."""
        return [node for node in self.model.graph.node if node.op_type == kind][number]

    def output(self, name: str) -> onnx.ValueInfoProto:
        """Return the declaration of an output."""
        return next(item for item in self.model.graph.output if item.name == name)

    def set_attribute(self, node: onnx.NodeProto, name: str, value: object) -> None:
        """Set a node's attribute."""
        for item in [item for item in node.attribute if item.name == name]:
            node.attribute.remove(item)
        node.attribute.append(helper.make_attribute(name, value))

    def bypass(self, node: onnx.NodeProto) -> None:
        """Take a node out; what read its output reads its first input."""
        for other in self.model.graph.node:
            other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
        self.model.graph.node.remove(node)

    def insert_after(self, value: str, kind: str, *inputs: str, **attributes: Any) -> None:
        """Change a value inside the graph: everything that read it reads the new node's output."""
        readers = [node for node in self.model.graph.node if value in node.input]
        made = self._make(kind, value, *inputs, **attributes)
        for node in readers:
            node.input[:] = [made.output[0] if name == value else name for name in node.input]
        self.model.graph.node.insert(self._place_of(value), made)

    def add(self, kind: str, *inputs: str, before: onnx.NodeProto, **attributes: Any) -> str:
        """Compute a further value in front of a node and return its name."""
        made = self._make(kind, *inputs, **attributes)
        self.model.graph.node.insert(list(self.model.graph.node).index(before), made)
        return str(made.output[0])

    def insert_before(self, node: onnx.NodeProto, kind: str, *inputs: str, **attributes: Any) -> None:
        """Change what one node alone reads first."""
        node.input[0] = self.add(kind, node.input[0], *inputs, before=node, **attributes)

    def change_output(self, name: str, kind: str, *inputs: str, **attributes: Any) -> None:
        """Change an output of the graph; what read it inside reads the changed one."""
        producer = self._producer(name)
        producer.output[0] = f"{name}_before"
        made = helper.make_node(kind, [f"{name}_before", *inputs], [name], **attributes)
        self.model.graph.node.insert(self._place_of(f"{name}_before"), made)

    def rename_value(self, old: str, new: str) -> None:
        """Rename a value wherever it is written, read or declared."""
        for node in self.model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for item in (*self.model.graph.input, *self.model.graph.output):
            item.name = new if item.name == old else item.name

    def _make(self, kind: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, list(inputs), [f"fault_value_{len(self.model.graph.node)}"], **attributes)

    def _producer(self, value: str) -> onnx.NodeProto:
        return next(node for node in self.model.graph.node if value in node.output)

    def _place_of(self, value: str) -> int:
        if any(item.name == value for item in self.model.graph.input):
            return 0
        return list(self.model.graph.node).index(self._producer(value)) + 1


Fault = Callable[[Graph], None]


def make_mutant(original: bytes, fault: Fault, *, donor: bytes) -> bytes:
    """Return the model with one fault in its graph and its card as it was."""
    model = onnx.ModelProto.FromString(original)
    fault(Graph(model, donor=onnx.ModelProto.FromString(donor)))
    mutant: bytes = model.SerializeToString()
    return mutant


def _tensor(model: onnx.ModelProto, ending: str) -> onnx.TensorProto:
    return next(item for item in model.graph.initializer if item.name.endswith(ending))
