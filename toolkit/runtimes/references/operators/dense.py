"""Products of matrices: Gemm."""

from __future__ import annotations

__all__: list[str] = []

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


@operator("Gemm")
def _gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float,
    beta: float,
    transA: int,  # the standard's own names
    transB: int,
    broadcast: int = 1,
) -> Array:
    """Return alpha * A' * B' + beta * C; Operators.md, Gemm.

    Changelog.md: before opset 7 C is laid out only where `broadcast` asks for it.
    """
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    if c is None:
        return np.asarray(product).astype(a.dtype)
    if not broadcast and c.shape != product.shape:
        raise ValueError(f"C is {list(c.shape)}; expected {list(product.shape)} without broadcast")
    return np.asarray(product + beta * c).astype(a.dtype)
