"""An input followed through a graph: by which operators its numbers and its axes are read."""

from __future__ import annotations

__all__ = ["Graph", "Reading", "follow"]

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from toolkit.onnx_file.graph_parts import iterate_graphs

# So many tensors are looked at for one input; what lies further away says little of it.
MOST_TENSORS = 400
# A larger constant is a table of weights: its shape is what counts.
MOST_NUMBERS = 4096
# How often a table may be cast, transposed or dequantised before it is looked up.
MOST_STEPS = 8

SAME_NUMBERS = frozenset({"Identity", "Cast", "CastLike", "Dropout", "Squeeze", "Unsqueeze", "Transpose"})
SAME_NUMBERS_ELSEWHERE = frozenset({"Reshape", "Flatten", "Expand", "Slice", "Gather", "Concat", "Tile", "Split"})
# Operators that work number by number, so that the axes stay.
BY_NUMBER = frozenset(
    {"Abs", "Clip", "Exp", "Log", "Neg", "Relu", "LeakyRelu", "Sigmoid", "Sqrt", "Tanh", "Erf", "Floor", "Ceil"}
    | {"Add", "Sub", "Mul", "Div", "Pow", "Not", "Sin", "Cos", "Reciprocal", "Round", "Pad", "HardSwish", "Softmax"}
    | {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "LayerNormalization", "BatchNormalization"}
)

Axes = tuple[int | None, ...] | None


class Reading(NamedTuple):
    """One place where an input, or what was made of it, is read.

    Attributes:
        node: that reads it.
        position: among the node's inputs.
        axes: for each axis there, which of the input's it is; None where it is another, or all are lost.
        same: whether the numbers are still those of the input.
        shift: what was added to them.
    """

    node: NodeProto
    position: int
    axes: Axes
    same: bool
    shift: float


class Graph:
    """A model's graphs, by the names of their tensors.

    Attributes:
        inputs: of the main graph.
        readers: who reads a tensor, and as which input.
        weights: tensors that lie in the file.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.inputs = model.graph.input
        self._makers: dict[str, NodeProto] = {}
        self.readers: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        self.weights: dict[str, onnx.TensorProto] = {}
        self._declared: dict[str, tuple[int, ...]] = {}
        for graph in iterate_graphs(model, name="the file"):
            self.weights |= {item.name: item for item in getattr(graph, "initializer", ())}
            for node in graph.node:
                self._makers |= dict.fromkeys(filter(None, node.output), node)
                for position, name in enumerate(node.input):
                    if name:
                        self.readers[name].append((node, position))
            for item in getattr(graph, "value_info", ()):
                kind = item.type.tensor_type
                if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
                    self._declared[item.name] = tuple(dim.dim_value for dim in kind.shape.dim)

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return a small tensor that the file holds."""
        tensor = self._tensor(name)
        if tensor is None or np.prod(tensor.dims, dtype=np.float64) > MOST_NUMBERS:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except (TypeError, ValueError, KeyError):  # a type that NumPy has not, or fewer bytes than numbers
            return None

    def shape(self, name: str, steps: int = MOST_STEPS) -> tuple[int, ...] | None:
        """Return the shape of a tensor that the file holds, or that is made of one without another look at it."""
        tensor, maker = self._tensor(name), self._makers.get(name)
        if tensor is not None:
            return tuple(tensor.dims)
        if maker is None or not maker.input or steps == 0:
            return self._declared.get(name)
        if maker.op_type in {"Cast", "CastLike", "Identity", "DequantizeLinear"}:
            return self.shape(maker.input[0], steps - 1)
        if maker.op_type == "Transpose":
            shape = self.shape(maker.input[0], steps - 1)
            perm = attribute(maker, "perm", otherwise=None)
            return None if shape is None else tuple(shape[axis] for axis in perm or range(len(shape))[::-1])
        return self._declared.get(name)

    def _tensor(self, name: str) -> onnx.TensorProto | None:
        if name in self.weights:
            return self.weights[name]
        maker = self._makers.get(name)
        if maker is None or maker.op_type != "Constant":
            return None
        for item in maker.attribute:
            if item.name == "value":
                return item.t  # type: ignore[no-any-return]  # onnx types attributes as Any
            if item.name in {"value_int", "value_ints", "value_float", "value_floats"}:
                value = helper.get_attribute_value(item)
                return numpy_helper.from_array(np.asarray(value, np.int64 if "int" in item.name else np.float32))
        return None


def attribute(node: NodeProto, name: str, *, otherwise: Any) -> Any:
    """Return an attribute of a node, or what holds where it is left out."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), otherwise)


def follow(graph: Graph, name: str, *, rank: int | None) -> Iterator[Reading]:
    """Yield where an input is read, and what was made of it without mixing its numbers, nearest first."""
    start: Axes = None if rank is None else tuple(range(rank))
    waiting: deque[tuple[str, Axes, bool, float]] = deque([(name, start, True, 0.0)])
    seen = {name}
    while waiting and len(seen) < MOST_TENSORS:
        tensor, axes, same, shift = waiting.popleft()
        for node, position in graph.readers.get(tensor, ()):
            reading = Reading(node, position, axes, same, shift)
            yield reading
            for made, following in _go_on(graph, reading):
                if made not in seen:
                    seen.add(made)
                    waiting.append((made, *following))


def _go_on(graph: Graph, reading: Reading) -> Iterator[tuple[str, tuple[Axes, bool, float]]]:
    """Yield the tensors behind a reading that are still the input, with the axes that it has there."""
    node, position, axes, same, shift = reading
    kind = node.op_type
    if kind in {"Loop", "Scan"}:
        yield from _enter_body(node, reading)
    elif kind in SAME_NUMBERS and position == 0:
        yield node.output[0], (_move(graph, node, axes=axes), same, shift)
    elif kind in SAME_NUMBERS_ELSEWHERE and (position == 0 or kind == "Concat"):
        yield from ((name, (_cut(graph, node, axes=axes), same, shift)) for name in node.output if name)
    elif kind in {"Add", "Sub"} and (added := _added(graph, node, position=position)) is not None:
        yield node.output[0], (axes, same, shift + added)
    elif kind in BY_NUMBER and (position == 0 or kind in {"Add", "Mul", "Sub", "Div"}):
        yield node.output[0], (axes, False, 0.0)


def _enter_body(node: NodeProto, reading: Reading) -> Iterator[tuple[str, tuple[Axes, bool, float]]]:
    body = attribute(node, "body", otherwise=None)
    if body is not None and reading.position < len(body.input) and (node.op_type == "Scan" or reading.position > 1):
        yield body.input[reading.position].name, (None, reading.same, reading.shift)


def _added(graph: Graph, node: NodeProto, *, position: int) -> float | None:
    """Return the one number that an addition adds to an input; None where it is something else."""
    other = graph.constant(node.input[1 - position]) if len(node.input) == 2 and position < 2 else None
    if other is None or other.size != 1 or other.dtype.kind not in "iu" or (node.op_type == "Sub" and position == 1):
        return None
    return float(other.reshape(-1)[0]) * (1 if node.op_type == "Add" else -1)


def _move(graph: Graph, node: NodeProto, *, axes: Axes) -> Axes:
    """Return the axes behind an operator that moves, adds or removes some."""
    if axes is None or node.op_type not in {"Transpose", "Unsqueeze", "Squeeze"}:
        return axes
    if node.op_type == "Transpose":
        perm = attribute(node, "perm", otherwise=range(len(axes))[::-1])
        return tuple(axes[axis] for axis in perm) if sorted(perm) == list(range(len(axes))) else None
    places = _numbers(graph, node, name="axes")
    if places is None:
        return None
    if node.op_type == "Squeeze":
        return tuple(_without(axes, places))
    rank, rest = len(axes) + len(places), iter(axes)
    new = {place % rank for place in places}
    return tuple(None if index in new else next(rest) for index in range(rank)) if len(new) == len(places) else None


def _cut(graph: Graph, node: NodeProto, *, axes: Axes) -> Axes:
    """Return the axes behind an operator that takes a part, or puts parts together."""
    if axes is None or node.op_type not in {"Concat", "Split", "Slice", "Gather"}:
        return None
    if node.op_type == "Slice":
        places = _numbers(graph, node, name="axes", position=3)
        return None if places is None else tuple(_without(axes, places))
    place = int(attribute(node, "axis", otherwise=0))
    if not -len(axes) <= place < len(axes):
        return None
    if node.op_type != "Gather":
        return tuple(_without(axes, [place]))
    indices = graph.shape(node.input[1])
    place %= len(axes)
    return None if indices is None else (*axes[:place], *(None for _ in indices), *axes[place + 1 :])


def _without(axes: tuple[int | None, ...], places: list[int]) -> list[int | None]:
    gone = {place % len(axes) for place in places} if axes else set()
    return [None if index in gone else axis for index, axis in enumerate(axes)]


def _numbers(graph: Graph, node: NodeProto, *, name: str, position: int = 1) -> list[int] | None:
    """Return whole numbers that are an attribute, or since opset 11 or 13 an input."""
    own = attribute(node, name, otherwise=None)
    if own is not None:
        return [int(number) for number in own]
    array = graph.constant(node.input[position]) if len(node.input) > position else None
    return None if array is None else [int(number) for number in array.reshape(-1)]
