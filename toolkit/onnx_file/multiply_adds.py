"""How many multiplications a call of a model needs, read from its graph; runs in the worker, which may crash."""

from __future__ import annotations

__all__ = ["MultiplyAdds", "count_multiply_adds"]

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from toolkit.onnx_file.graph_parts import DEFAULT_DOMAINS, iterate_graphs

Shapes = Mapping[str, list[int]]

CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv", "DeformConv"}
PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul"}
RECURRENT = {"LSTM", "GRU", "RNN"}
COUNTED = {*CONVOLUTIONS, *PRODUCTS, *RECURRENT, "Gemm", "ConvTranspose", "Einsum"}
# Of the standard, products whose number no shape tells in one line.
UNCOUNTED = {"Attention", "LinearAttention", "CausalConvWithState", "DFT", "STFT", "Det"}
# Operands of the quantised forms have scale and zero point between them: data, scale, zero, weights.
WEIGHTS_AT = {"QLinearConv": 3, "QLinearMatMul": 3}
SEQUENCE_LENGTHS_AT = 4


class MultiplyAdds(NamedTuple):
    """The multiply-adds of one call, or why they are not known.

    Attributes:
        number: None where the file does not tell.
        reason: empty where it does.
    """

    number: int | None
    reason: str = ""


def count_multiply_adds(model: bytes, shapes: Mapping[str, Sequence[int]]) -> MultiplyAdds:
    """Count the multiply-adds of convolutions, matrix products and recurrent layers; all else in the standard has none.

    A convolution has (elements of its output) x (elements of one filter), a transposed one (elements of its input) x
    (elements of one filter), a product of [m, k] and [k, n] has m k n, a recurrent layer (steps) x (batch) x (elements
    of both its weights), a sum over products as many as its letters have values together. A count that leaves some of
    them out would pass for the whole: one operator that cannot be counted, and there is none.

    Args:
        model: the file's bytes.
        shapes: of every input.
    """
    import onnx

    parsed = onnx.ModelProto.FromString(model)
    uncounted = _find_uncounted(parsed)
    if uncounted:
        return MultiplyAdds(None, uncounted)
    _set_inputs(parsed, shapes)
    try:
        inferred = onnx.shape_inference.infer_shapes(parsed, data_prop=True).graph
    except Exception as error:  # noqa: BLE001 - what cannot be inferred cannot be counted
        return MultiplyAdds(None, f"its shapes cannot be inferred ({type(error).__name__})")
    known = _known_shapes(inferred)
    total = 0
    for node in inferred.node:
        count = _count(node, known) if node.op_type in COUNTED else 0
        if count is None:
            return MultiplyAdds(None, f"the file does not tell how much {node.op_type} has to multiply")
        total += count
    return MultiplyAdds(total) if total else MultiplyAdds(None, "it has no convolution and no matrix product")


def _find_uncounted(model: Any) -> str:
    """Name the first operator whose multiply-adds cannot be read from the main graph; empty where all can."""
    functions = {(function.domain, function.name) for function in model.functions}
    for graph in iterate_graphs(model, name="the model"):
        for node in graph.node:
            if (node.domain, node.op_type) in functions:
                continue  # its own nodes are looked at
            if node.domain not in DEFAULT_DOMAINS:
                return f"{node.domain}.{node.op_type} is not counted"
            if node.op_type in UNCOUNTED:
                return f"{node.op_type} is not counted"
            if node.op_type in COUNTED and graph is not model.graph:
                return f"{node.op_type} in a sub-graph or a local function is not counted"
    return ""


def _set_inputs(model: Any, shapes: Mapping[str, Sequence[int]]) -> None:
    for item in model.graph.input:
        if item.name in shapes:
            del item.type.tensor_type.shape.dim[:]
            for size in shapes[item.name]:
                item.type.tensor_type.shape.dim.add().dim_value = size
    # What earlier inference noted was for another batch.
    del model.graph.value_info[:]
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")


def _known_shapes(graph: Any) -> dict[str, list[int]]:
    known = {item.name: list(item.dims) for item in graph.initializer}
    for item in (*graph.input, *graph.value_info, *graph.output):
        sizes = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        if sizes and all(sizes):
            known[item.name] = sizes
    return known


def _count(node: Any, known: Shapes) -> int | None:
    if node.op_type == "Einsum":
        return _count_einsum(node, known)
    left, right = known.get(node.input[0]), known.get(node.input[WEIGHTS_AT.get(node.op_type, 1)])
    if node.op_type == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:]) if left and right else None
    if node.op_type in RECURRENT:
        return _count_recurrent(node, known)
    out = known.get(node.output[0])
    if node.op_type in CONVOLUTIONS:
        return math.prod(out) * math.prod(right[1:]) if out and right else None
    if node.op_type == "Gemm":
        is_turned = any(item.name == "transB" and item.i for item in node.attribute)
        return math.prod(out) * right[1 if is_turned else 0] if out and right else None
    return math.prod(out) * left[-1] if out and left else None


def _count_recurrent(node: Any, known: Shapes) -> int | None:
    sequence, weights, again = (known.get(name) for name in node.input[:3])
    has_lengths = len(node.input) > SEQUENCE_LENGTHS_AT and node.input[SEQUENCE_LENGTHS_AT]
    if has_lengths or not (sequence and weights and again):
        return None
    steps, batch = sequence[:2]  # in either order
    return steps * batch * (math.prod(weights) + math.prod(again))


def _count_einsum(node: Any, known: Shapes) -> int | None:
    """Multiply the sizes of all letters: what two operands take; with more of them the order is the engine's."""
    equation = next(item.s.decode() for item in node.attribute if item.name == "equation")
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if len(terms) == 1:
        return 0
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        before, dots, after = term.partition("...")
        shape = known.get(name, [])
        unnamed = len(shape) - len(before) - len(after)
        letters = [*before, *(f"{place} from the right" for place in range(unnamed, 0, -1)), *after]
        if unnamed < 0 or (unnamed and not dots):
            return None
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))  # a size of 1 is stretched
    return math.prod(sizes.values()) if len(terms) == 2 else None
