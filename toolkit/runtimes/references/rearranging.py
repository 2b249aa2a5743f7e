"""Operators that move values without computing anything, and those of a quantised graph, in float64.

What rounding did to a value moves with it; QuantizeLinear and DequantizeLinear give what they mean, before an engine
rearranges them.
"""

from __future__ import annotations

__all__ = [
    "concatenate",
    "dequantize_linear",
    "find_ranges",
    "pad",
    "quantize_linear",
    "reshape",
    "slice_axes",
    "transpose",
    "unsqueeze",
]

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.runtimes.references.rounding import Rounded

Attributes = dict[str, Any]
RANGES = {onnx.TensorProto.UINT8: (0.0, 255.0), onnx.TensorProto.INT8: (-128.0, 127.0)}


def concatenate(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Concat: join along `axis`."""
    axis = attributes["axis"]
    return Rounded(*(np.concatenate(parts, axis) for parts in zip(*inputs, strict=True)))


def pad(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Pad with zeros along every axis.

    Raises:
        ModelError: another mode, another value, only some axes, or negative sizes.
    """
    widths = inputs[1].value.astype(int).reshape(2, -1)
    is_zero = len(inputs) < 3 or not inputs[2].value.any()
    is_whole = len(inputs) < 4 and widths.shape[1] == inputs[0].value.ndim and (widths >= 0).all()
    if attributes.get("mode", b"constant") != b"constant" or not is_zero or not is_whole:
        raise ModelError("the rounding formula knows Pad with zeros, of every axis, only")
    return Rounded(*(np.pad(part, widths.T) for part in inputs[0]))


def slice_axes(inputs: list[Rounded], _: Attributes, __: float) -> Rounded:
    """Slice: cut along the axes named, or the first ones."""
    starts, ends = (item.value.astype(int) for item in inputs[1:3])
    axes = inputs[3].value.astype(int) if len(inputs) > 3 else np.arange(len(starts))
    steps = inputs[4].value.astype(int) if len(inputs) > 4 else np.ones_like(starts)
    cut = [slice(None)] * inputs[0].value.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(int(start), int(end), int(step))
    return Rounded(*(part[tuple(cut)] for part in inputs[0]))


def unsqueeze(inputs: list[Rounded], _: Attributes, __: float) -> Rounded:
    """Unsqueeze: add axes of length 1."""
    axes = tuple(inputs[1].value.astype(int))
    return Rounded(*(np.expand_dims(part, axes) for part in inputs[0]))


def transpose(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Transpose: permute the axes."""
    return Rounded(*(part.transpose(attributes["perm"]) for part in inputs[0]))


def reshape(inputs: list[Rounded], _: Attributes, __: float) -> Rounded:
    """Reshape: 0 keeps a side, -1 takes what is left."""
    shape = [
        inputs[0].value.shape[axis] if size == 0 else size for axis, size in enumerate(inputs[1].value.astype(int))
    ]
    return Rounded(*(part.reshape(shape) for part in inputs[0]))


def find_ranges(graph: onnx.GraphProto) -> dict[str, tuple[float, float]]:
    """Return the numbers that each zero point's type can hold, by the zero point's name."""
    return {item.name: RANGES[item.data_type] for item in graph.initializer if item.data_type in RANGES}


def quantize_linear(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Divide, round half to even, add the zero point, cut off at the type's ends: whole numbers as float64.

    Args:
        inputs: values, scale, zero point; one scale for the whole tensor, or one along `axis`.
        attributes: `axis`, and `range`, the least and largest number of the type.
    """
    item, scale, zero = inputs
    factor, offset = (_along(part.value, item.value.ndim, attributes) for part in (scale, zero))
    whole = np.clip(np.rint(item.value / factor) + offset, *attributes["range"])
    return Rounded(whole, np.zeros_like(whole))


def dequantize_linear(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Return (whole number - zero point) * scale; see `quantize_linear`."""
    item, scale = inputs[:2]
    factor = _along(scale.value, item.value.ndim, attributes)
    offset = _along(inputs[2].value, item.value.ndim, attributes) if len(inputs) > 2 else 0.0
    value = (item.value - offset) * factor
    return Rounded(value, np.zeros_like(value))


def _along(parameter: NDArray[np.float64], rank: int, attributes: Attributes) -> NDArray[np.float64]:
    """Lay one number for each channel along its axis."""
    if parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * rank
    shape[attributes.get("axis", 1)] = parameter.size
    return parameter.reshape(shape)
