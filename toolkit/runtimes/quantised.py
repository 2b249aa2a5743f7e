"""QuantizeLinear and DequantizeLinear in float64: what a quantised graph means, before an engine rearranges it."""

from __future__ import annotations

__all__ = ["dequantize_linear", "find_ranges", "quantize_linear"]

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from toolkit.runtimes.rounding import Rounded

RANGES = {onnx.TensorProto.UINT8: (0.0, 255.0), onnx.TensorProto.INT8: (-128.0, 127.0)}


def find_ranges(graph: onnx.GraphProto) -> dict[str, tuple[float, float]]:
    """Return the numbers that each zero point's type can hold, by the zero point's name."""
    return {item.name: RANGES[item.data_type] for item in graph.initializer if item.data_type in RANGES}


def quantize_linear(inputs: list[Rounded], attributes: dict[str, Any], _: float) -> Rounded:
    """Divide, round half to even, add the zero point, cut off at the type's ends: whole numbers as float64.

    Args:
        inputs: values, scale, zero point; one scale for the whole tensor, or one along `axis`.
        attributes: `axis`, and `range`, the least and largest number of the type.
    """
    item, scale, zero = inputs
    factor, offset = (_along(part.value, item.value.ndim, attributes) for part in (scale, zero))
    whole = np.clip(np.rint(item.value / factor) + offset, *attributes["range"])
    return Rounded(whole, np.zeros_like(whole))


def dequantize_linear(inputs: list[Rounded], attributes: dict[str, Any], _: float) -> Rounded:
    """Return (whole number - zero point) * scale; see `quantize_linear`."""
    item, scale = inputs[:2]
    factor = _along(scale.value, item.value.ndim, attributes)
    offset = _along(inputs[2].value, item.value.ndim, attributes) if len(inputs) > 2 else 0.0
    value = (item.value - offset) * factor
    return Rounded(value, np.zeros_like(value))


def _along(parameter: NDArray[np.float64], rank: int, attributes: dict[str, Any]) -> NDArray[np.float64]:
    """Lay one number for each channel along its axis."""
    if parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * rank
    shape[attributes.get("axis", 1)] = parameter.size
    return parameter.reshape(shape)
