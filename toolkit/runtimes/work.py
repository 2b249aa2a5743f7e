"""How many multiplications a call of a model needs, read from its graph; runs in the worker, which may crash."""

from __future__ import annotations

__all__ = ["count_multiply_adds"]

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONVOLUTIONS = {"Conv", "FusedConv", "ConvInteger", "QLinearConv"}
PRODUCTS = {"MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul"}
DENSE = {"Gemm", "FusedGemm"}
# Operands of the quantised forms have scale and zero point between them: data, scale, zero, weights.
WEIGHTS_AT = {"QLinearConv": 3, "QLinearMatMul": 3}


def count_multiply_adds(model: bytes, shapes: Mapping[str, Sequence[int]]) -> int | None:
    """Count the multiply-adds of convolutions and matrix products in the main graph; everything else is left out.

    A convolution has (elements of its output) x (elements of one filter), a product of [m, k] and [k, n] has m k n.

    Args:
        model: the file's bytes.
        shapes: of every input.

    Returns:
        Multiply-adds of one call; None where a shape that decides is not known, or there are none.
    """
    import onnx

    parsed = onnx.ModelProto.FromString(model)
    for item in parsed.graph.input:
        if item.name in shapes:
            del item.type.tensor_type.shape.dim[:]
            for size in shapes[item.name]:
                item.type.tensor_type.shape.dim.add().dim_value = size
    # What earlier inference noted was for another batch.
    del parsed.graph.value_info[:]
    for item in parsed.graph.output:
        item.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(parsed, data_prop=True).graph
    except Exception:  # noqa: BLE001 - what cannot be inferred cannot be counted
        return None
    known = _known_shapes(inferred)
    counts = [_count(node, known) for node in inferred.node if node.op_type in CONVOLUTIONS | PRODUCTS | DENSE]
    return sum(counts) if counts and None not in counts else None  # type: ignore[arg-type]  # None was just ruled out


def _known_shapes(graph: Any) -> dict[str, list[int]]:
    known = {item.name: list(item.dims) for item in graph.initializer}
    for item in (*graph.input, *graph.value_info, *graph.output):
        sizes = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        if sizes and all(sizes):
            known[item.name] = sizes
    return known


def _count(node: Any, known: dict[str, list[int]]) -> int | None:
    second = node.input[WEIGHTS_AT.get(node.op_type, 1)]
    left, right, out = known.get(node.input[0]), known.get(second), known.get(node.output[0])
    if node.op_type in CONVOLUTIONS:
        return math.prod(out) * math.prod(right[1:]) if out and right else None
    if node.op_type in DENSE:
        is_turned = any(item.name == "transB" and item.i for item in node.attribute)
        return math.prod(out) * right[1 if is_turned else 0] if out and right else None
    return math.prod(out) * left[-1] if out and left else None
