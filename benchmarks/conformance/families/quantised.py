"""8-bit operators: scales for a tensor, an axis, a block; zero points; whole-number products."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, one_node, values, versions_of

SCALE = np.float32(0.1).reshape(())


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for opset in versions_of("QuantizeLinear"):
        yield from _quantize(opset)
    for opset in versions_of("DequantizeLinear"):
        yield from _dequantize(opset)
    for opset in versions_of("DynamicQuantizeLinear"):
        drawn = values("Dynamic")
        for label, x in (
            ("both", drawn.normal(3, 4)),
            ("over 0", drawn.positive(3, 4)),
            ("under 0", -drawn.positive(7)),
        ):
            yield one_node("DynamicQuantizeLinear", x, opset=opset, outputs=3, label=label)
    for opset in versions_of("MatMulInteger"):
        yield from _matmul_integer(opset)
    for opset in versions_of("QLinearMatMul"):
        yield from _qlinear_matmul(opset)
    for opset in versions_of("ConvInteger"):
        yield from _conv_integer(opset)
    for opset in versions_of("QLinearConv"):
        yield from _qlinear_conv(opset)


def _zero(value: int, kind: Any = np.uint8) -> Array:
    return np.array(value, kind)


def _quantize(opset: int) -> Iterator[Case]:
    # No value lies on the border between two steps, where a float32 quotient may fall to either side.
    x = (values("Quantize").whole(-300, 300, 2, 3, 4) * 0.1 + 0.03).astype(np.float32)
    yield one_node("QuantizeLinear", x, SCALE, _zero(128), opset=opset, torch=_torch_quantised)
    yield one_node("QuantizeLinear", x, SCALE, opset=opset, label="no zero point")
    yield one_node("QuantizeLinear", x, SCALE, _zero(-3, np.int8), opset=opset, label="int8")
    ties = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    yield one_node(
        "QuantizeLinear", ties, np.float32(1).reshape(()), _zero(9), opset=opset, label="ties", torch=_torch_quantised
    )
    if opset >= 13:
        scales = np.array([0.1, 0.2, 0.4], np.float32)
        zeros = np.array([1, 2, 3], np.uint8)
        yield one_node("QuantizeLinear", x, scales, zeros, opset=opset, label="axis default")
        along = np.array([0.1, 0.2, 0.4, 0.8], np.float32), np.array([1, 2, 3, 4], np.uint8)
        yield one_node("QuantizeLinear", x, *along, opset=opset, axis=-1)
    if opset >= 21:
        blocks = np.array([[[0.1, 0.2]] * 3] * 2, np.float32)
        yield one_node("QuantizeLinear", x, blocks, np.full((2, 3, 2), 5, np.uint8), opset=opset, axis=2, block_size=2)
        yield one_node("QuantizeLinear", x, SCALE, opset=opset, output_dtype=3)
        yield one_node("QuantizeLinear", x, SCALE, _zero(700, np.uint16), opset=opset, label="uint16")


def _torch_quantised(x: Any, scale: Any, zero: Any) -> Any:
    import torch

    return torch.clamp((x / scale).round() + zero, 0, 255).to(torch.uint8)


def _dequantize(opset: int) -> Iterator[Case]:
    drawn = values("Dequantize")
    x = drawn.whole(0, 256, 2, 3, 4, dtype=np.uint8)
    yield one_node("DequantizeLinear", x, SCALE, _zero(128), opset=opset)
    yield one_node("DequantizeLinear", x, SCALE, opset=opset, label="no zero point")
    signed = drawn.whole(-128, 128, 2, 3, 4, dtype=np.int8)
    yield one_node("DequantizeLinear", signed, SCALE, _zero(-3, np.int8), opset=opset, label="int8")
    wide = drawn.whole(-9999, 9999, 2, 3, dtype=np.int32)
    yield one_node("DequantizeLinear", wide, SCALE, opset=opset, label="int32")
    if opset >= 13:
        scales = np.array([0.1, 0.2, 0.4], np.float32)
        yield one_node("DequantizeLinear", x, scales, np.array([1, 2, 3], np.uint8), opset=opset, label="axis default")
        yield one_node("DequantizeLinear", x, drawn.positive(4), opset=opset, label="no zero point", axis=2)
    if opset >= 21:
        blocks = np.array([[[0.1, 0.2]] * 3] * 2, np.float32)
        zeros = np.full((2, 3, 2), 5, np.uint8)
        yield one_node("DequantizeLinear", x, blocks, zeros, opset=opset, axis=2, block_size=2)


def _matmul_integer(opset: int) -> Iterator[Case]:
    drawn = values("MatMulInteger")
    a, b = drawn.whole(0, 256, 2, 3, dtype=np.uint8), drawn.whole(0, 256, 3, 4, dtype=np.uint8)
    signed = drawn.whole(-128, 128, 3, 4, dtype=np.int8)
    yield one_node("MatMulInteger", a, b, opset=opset)
    yield one_node("MatMulInteger", a, b, _zero(12), opset=opset, label="zero of a")
    yield one_node("MatMulInteger", a, b, _zero(12), _zero(7), opset=opset, label="both zeros")
    yield one_node("MatMulInteger", a, signed, _zero(12), _zero(-7, np.int8), opset=opset, label="int8")
    columns = np.array([1, 2, 3, 4], np.uint8)
    yield one_node("MatMulInteger", a, b, _zero(12), columns, opset=opset, label="zero a column")
    rows = np.array([[1], [2]], np.uint8)
    yield one_node("MatMulInteger", a, b, rows, opset=opset, label="zero a row")
    stacked = drawn.whole(0, 256, 2, 2, 3, dtype=np.uint8)
    yield one_node("MatMulInteger", stacked, b, _zero(12), opset=opset, label="stacked")


def _qlinear_matmul(opset: int) -> Iterator[Case]:
    drawn = values("QLinearMatMul")
    a, b = drawn.whole(0, 256, 2, 3, dtype=np.uint8), drawn.whole(0, 256, 3, 4, dtype=np.uint8)
    scales = [np.float32(value).reshape(()) for value in (0.013, 0.017, 0.11)]
    zeros = [_zero(113), _zero(120), _zero(118)]
    yield _linear("QLinearMatMul", a, b, scales, zeros, opset)
    signed = drawn.whole(-128, 128, 3, 4, dtype=np.int8)
    yield _linear("QLinearMatMul", a, signed, scales, [zeros[0], _zero(2, np.int8), zeros[2]], opset, label="int8")
    columns = [scales[0], drawn.positive(4) * np.float32(0.02), scales[2]]
    apart = [zeros[0], np.array([1, 2, 3, 4], np.uint8), zeros[2]]
    yield _linear("QLinearMatMul", a, b, columns, apart, opset, label="a column")


def _linear(
    op_type: str,
    a: Array,
    b: Array,
    scales: list[Array],
    zeros: list[Array],
    opset: int,
    *rest: Array,
    label: str = "",
    **options: Any,
) -> Case:
    arrays = (a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2], *rest)
    return one_node(op_type, *arrays, opset=opset, label=label, **options)


CONVOLUTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"pads": [1, 0, 2, 1]},
    {"strides": [2, 2], "dilations": [2, 1]},
    {"auto_pad": "SAME_UPPER"},
    {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
    {"group": 2},
)


def _conv_integer(opset: int) -> Iterator[Case]:
    drawn = values("ConvInteger")
    x = drawn.whole(0, 256, 1, 2, 6, 5, dtype=np.uint8)
    for options in CONVOLUTIONS:
        weight = drawn.whole(0, 256, 4, 2 // options.get("group", 1), 3, 2, dtype=np.uint8)
        yield one_node("ConvInteger", x, weight, _zero(12), _zero(7), opset=opset, **options)
    weight = drawn.whole(0, 256, 4, 2, 3, 2, dtype=np.uint8)
    yield one_node("ConvInteger", x, weight, opset=opset, label="no zeros")
    yield one_node("ConvInteger", x, weight, _zero(12), opset=opset, label="zero of x", pads=[1, 1, 1, 1])
    zeros = np.array([1, 2, 3, 4], np.uint8)
    yield one_node("ConvInteger", x, weight, _zero(12), zeros, opset=opset, label="zero a map")
    line = drawn.whole(0, 256, 1, 2, 9, dtype=np.uint8), drawn.whole(0, 256, 3, 2, 3, dtype=np.uint8)
    yield one_node("ConvInteger", *line, _zero(12), opset=opset, label="1-D")


def _qlinear_conv(opset: int) -> Iterator[Case]:
    drawn = values("QLinearConv")
    x = drawn.whole(0, 256, 1, 2, 6, 5, dtype=np.uint8)
    scales = [np.float32(value).reshape(()) for value in (0.013, 0.017, 0.11)]
    zeros = [_zero(113), _zero(120), _zero(118)]
    for options in CONVOLUTIONS:
        weight = drawn.whole(0, 256, 4, 2 // options.get("group", 1), 3, 2, dtype=np.uint8)
        yield _linear("QLinearConv", x, weight, scales, zeros, opset, **options)
    weight = drawn.whole(-128, 128, 4, 2, 3, 2, dtype=np.int8)
    signed = [zeros[0], _zero(0, np.int8), zeros[2]]
    bias = drawn.whole(-9999, 9999, 4, dtype=np.int32)
    yield _linear("QLinearConv", x, weight, scales, signed, opset, bias, label="bias")
    apart = [scales[0], drawn.positive(4) * np.float32(0.02), scales[2]]
    zero_maps = [zeros[0], np.zeros(4, np.int8), zeros[2]]
    yield _linear("QLinearConv", x, weight, apart, zero_maps, opset, bias, label="scale a map")
