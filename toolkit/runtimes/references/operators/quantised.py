"""8-bit operators: DequantizeLinear."""

from __future__ import annotations

__all__: list[str] = []

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


@operator("DequantizeLinear", before=19)
def _dequantize(x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1) -> Array:
    """Return (x - zero) * scale; Changelog.md, DequantizeLinear-10 and -13: one of each, since 13 also along an axis.

    The evaluator (1.23) has none before opset 19.
    """
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    whole = x.astype(np.int64)
    if zero is not None:
        whole = whole - zero.astype(np.int64).reshape(shape if zero.size > 1 else ())
    return whole.astype(scale.dtype) * scale.reshape(shape if scale.size > 1 else ())
