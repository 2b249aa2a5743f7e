"""The operators that exports of ours hold, in float64: what rounding does to a value is computed and moves with it.

QuantizeLinear and DequantizeLinear give what they mean, before an engine rearranges them.
"""

from __future__ import annotations

__all__ = ["OPERATORS", "UNLIMITED", "Node", "find_limits"]

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.runtimes.references import rounding
from toolkit.runtimes.references.rounding import Rounded

Attributes = dict[str, Any]
UNLIMITED = (-math.inf, math.inf)
LIMITS = {onnx.TensorProto.UINT8: (0.0, 255.0), onnx.TensorProto.INT8: (-128.0, 127.0)}


class Node(NamedTuple):
    """What an operator goes by, besides its inputs.

    Attributes:
        attributes: those that the file sets.
        roundoff: unit roundoff of the precision that is judged.
        limits: the least and largest number of the type that QuantizeLinear rounds to.
    """

    attributes: Attributes
    roundoff: float
    limits: tuple[float, float] = UNLIMITED


Operator = Callable[[list[Rounded], Node], Rounded]


def find_limits(graph: onnx.GraphProto) -> dict[str, tuple[float, float]]:
    """Return the numbers that each zero point's type can hold, by the zero point's name."""
    return {item.name: LIMITS[item.data_type] for item in graph.initializer if item.data_type in LIMITS}


def _concatenate(inputs: list[Rounded], node: Node) -> Rounded:
    """Concat: join along `axis`."""
    axis = node.attributes["axis"]
    return Rounded(*(np.concatenate(parts, axis) for parts in zip(*inputs, strict=True)))


def _pad_zeros(inputs: list[Rounded], node: Node) -> Rounded:
    """Pad with zeros along every axis.

    Raises:
        ModelError: another mode, another value, only some axes, or negative sizes.
    """
    widths = inputs[1].value.astype(int).reshape(2, -1)
    is_zero = len(inputs) < 3 or not inputs[2].value.any()
    is_whole = len(inputs) < 4 and widths.shape[1] == inputs[0].value.ndim and (widths >= 0).all()
    if node.attributes.get("mode", b"constant") != b"constant" or not is_zero or not is_whole:
        raise ModelError("the rounding formula knows Pad with zeros, of every axis, only")
    return Rounded(*(np.pad(part, widths.T) for part in inputs[0]))


def _slice_axes(inputs: list[Rounded], _: Node) -> Rounded:
    """Slice: cut along the axes named, or the first ones."""
    starts, ends = (item.value.astype(int) for item in inputs[1:3])
    axes = inputs[3].value.astype(int) if len(inputs) > 3 else np.arange(len(starts))
    steps = inputs[4].value.astype(int) if len(inputs) > 4 else np.ones_like(starts)
    cut = [slice(None)] * inputs[0].value.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(int(start), int(end), int(step))
    return Rounded(*(part[tuple(cut)] for part in inputs[0]))


def _unsqueeze(inputs: list[Rounded], _: Node) -> Rounded:
    """Unsqueeze: add axes of length 1."""
    axes = tuple(inputs[1].value.astype(int))
    return Rounded(*(np.expand_dims(part, axes) for part in inputs[0]))


def _transpose(inputs: list[Rounded], node: Node) -> Rounded:
    """Transpose: permute the axes."""
    return Rounded(*(part.transpose(node.attributes["perm"]) for part in inputs[0]))


def _reshape(inputs: list[Rounded], _: Node) -> Rounded:
    """Reshape: 0 keeps a side, -1 takes what is left."""
    shape = [
        inputs[0].value.shape[axis] if size == 0 else size for axis, size in enumerate(inputs[1].value.astype(int))
    ]
    return Rounded(*(part.reshape(shape) for part in inputs[0]))


def _quantize_linear(inputs: list[Rounded], node: Node) -> Rounded:
    """Divide, round half to even, add the zero point, cut off at the type's ends: whole numbers as float64.

    Args:
        inputs: values, scale, zero point; one scale for the whole tensor, or one along `axis`.
        node: with `axis`, and the limits of the type.
    """
    item, scale, zero = inputs
    factor, offset = (_along(part.value, node, rank=item.value.ndim) for part in (scale, zero))
    whole = np.clip(np.rint(item.value / factor) + offset, *node.limits)
    return Rounded(whole, np.zeros_like(whole))


def _dequantize_linear(inputs: list[Rounded], node: Node) -> Rounded:
    """Return (whole number - zero point) * scale; see `_quantize_linear`."""
    item, scale = inputs[:2]
    factor = _along(scale.value, node, rank=item.value.ndim)
    offset = _along(inputs[2].value, node, rank=item.value.ndim) if len(inputs) > 2 else 0.0
    value = (item.value - offset) * factor
    return Rounded(value, np.zeros_like(value))


def _along(parameter: NDArray[np.float64], node: Node, *, rank: int) -> NDArray[np.float64]:
    """Lay one number for each channel along its axis."""
    if parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * rank
    shape[node.attributes.get("axis", 1)] = parameter.size
    return parameter.reshape(shape)


def _batch_normalization(inputs: list[Rounded], node: Node) -> Rounded:
    if node.attributes.get("training_mode", 0):
        raise ModelError("the rounding formula knows BatchNormalization with training_mode = 0 only")
    scale, bias, mean, variance = (item.value.reshape(-1, 1, 1) for item in inputs[1:5])
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return rounding.normalise(inputs[0], factor, mean=mean, bias=bias, roundoff=node.roundoff)


def _conv(inputs: list[Rounded], node: Node) -> Rounded:
    if node.attributes.get("group", 1) != 1 or _is_dilated(node.attributes) or _is_self_padding(node.attributes):
        raise ModelError("the rounding formula knows convolutions without groups, dilation and auto_pad only")
    weight = inputs[1].value
    bias = inputs[2].value if len(inputs) > 2 else None
    matrix = weight.reshape(len(weight), -1).T
    # The noise is settled on the maps, before the windows repeat every value once for each place in the kernel.
    noise = rounding.term_noise(inputs[0], length=len(matrix), roundoff=node.roundoff)
    total = np.tensordot(_slide(inputs[0].value, weight, attributes=node.attributes), matrix, 1)
    carried = np.tensordot(_slide(noise, weight, attributes=node.attributes), matrix**2, 1)
    result = rounding.dot_product(total, carried, bias=bias, length=len(matrix), roundoff=node.roundoff)
    return Rounded(*(part.transpose(0, 3, 1, 2) for part in result))


def _slide(maps: NDArray[np.float64], weight: NDArray[np.float64], *, attributes: Attributes) -> NDArray[np.float64]:
    """Return a convolution's windows as rows: `[N, H', W', C * kernel rows * kernel columns]`."""
    padded = _pad(maps, attributes.get("pads", [0, 0, 0, 0]))
    height, width = weight.shape[2:]
    view = rounding.windows(padded, size=(height, width), stride=tuple(attributes.get("strides", [1, 1])))
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(*view.shape[:1], *view.shape[2:4], weight[0].size)


def _pad(maps: NDArray[np.float64], pads: list[int]) -> NDArray[np.float64]:
    top, left, bottom, right = pads
    return np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right)))


def _max_pool(inputs: list[Rounded], node: Node) -> Rounded:
    is_padded = any(node.attributes.get("pads", [])) or _is_self_padding(node.attributes)
    if is_padded or node.attributes.get("ceil_mode", 0) or _is_dilated(node.attributes):
        raise ModelError("the rounding formula knows max-pooling without padding, dilation and ceil_mode only")
    size = tuple(node.attributes["kernel_shape"])
    return rounding.max_pool(inputs[0], size=size, stride=tuple(node.attributes.get("strides", [1, 1])))


def _is_dilated(attributes: Attributes) -> bool:
    return set(attributes.get("dilations", [1])) != {1}


def _is_self_padding(attributes: Attributes) -> bool:
    return attributes.get("auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}


def _gemm(inputs: list[Rounded], node: Node) -> Rounded:
    attributes = node.attributes
    if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA", 0):
        raise ModelError("the rounding formula knows Gemm with alpha = beta = 1 and transA = 0 only")
    weight = inputs[1].value.T if attributes.get("transB", 0) else inputs[1].value
    return rounding.dense(inputs[0], weight, bias=inputs[2].value if len(inputs) > 2 else None, roundoff=node.roundoff)


def _cast(inputs: list[Rounded], node: Node) -> Rounded:
    """Round once towards float16; uint8 to float32, and wider than before, is exact."""
    (item,) = inputs
    narrow = node.attributes["to"] == onnx.TensorProto.FLOAT16
    return rounding.pointwise(item.value, item.variance, roundoff=node.roundoff) if narrow else item


def _sub(inputs: list[Rounded], node: Node) -> Rounded:
    left, right = inputs
    return rounding.pointwise(left.value - right.value, left.variance + right.variance, roundoff=node.roundoff)


def _add(inputs: list[Rounded], node: Node) -> Rounded:
    left, right = inputs
    return rounding.pointwise(left.value + right.value, left.variance + right.variance, roundoff=node.roundoff)


def _mul(inputs: list[Rounded], node: Node) -> Rounded:
    """Multiply; the factors may be one and the same, so their errors are added before they are squared."""
    left, right = inputs
    carried = np.abs(right.value) * np.sqrt(left.variance) + np.abs(left.value) * np.sqrt(right.variance)
    return rounding.pointwise(left.value * right.value, carried**2, roundoff=node.roundoff)


def _div(inputs: list[Rounded], node: Node) -> Rounded:
    left, right = inputs
    ratio = left.value / right.value
    carried = (left.variance + ratio**2 * right.variance) / right.value**2
    return rounding.pointwise(ratio, carried, roundoff=node.roundoff)


def _sqrt(inputs: list[Rounded], node: Node) -> Rounded:
    (item,) = inputs
    return rounding.pointwise(np.sqrt(item.value), item.variance / (4 * item.value), roundoff=node.roundoff)


def _reduce_mean(inputs: list[Rounded], node: Node) -> Rounded:
    axes = node.attributes.get("axes") or (inputs[1].value.astype(int).tolist() if len(inputs) > 1 else None)
    if axes is None or len(axes) != 1:
        raise ModelError("the rounding formula knows ReduceMean over one axis only")
    return rounding.mean(
        inputs[0], axis=axes[0], keeps_axis=bool(node.attributes.get("keepdims", 1)), roundoff=node.roundoff
    )


OPERATORS: dict[str, Operator] = {
    "Add": _add,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Concat": _concatenate,
    "Conv": _conv,
    "DequantizeLinear": _dequantize_linear,
    "Div": _div,
    "Gemm": _gemm,
    "MaxPool": _max_pool,
    "Mul": _mul,
    "Pad": _pad_zeros,
    "QuantizeLinear": _quantize_linear,
    "ReduceMean": _reduce_mean,
    "Relu": lambda inputs, _: rounding.relu(inputs[0]),
    "Reshape": _reshape,
    "Slice": _slice_axes,
    "Sqrt": _sqrt,
    "Sub": _sub,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
