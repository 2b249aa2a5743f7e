"""Products of matrices: Gemm and Attention."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any

import numpy as np
from onnx.reference.ops.op_attention import Attention, Attention_23, Attention_25

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


def _declare_attention(base: type[Attention], since: int, *, before: int | None) -> None:
    @operator("Attention", since=since, before=before)
    class Own(base):  # type: ignore[valid-type,misc]  # one of two
        """Operators.md, Attention: `qk_matmul_output_mode` 0 is the bare product; the evaluator (1.23) bounds it."""

        def _run(self, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
            answers: tuple[Array, ...] = super()._run(*inputs, **attributes)
            if attributes["qk_matmul_output_mode"] or not attributes["softcap"]:
                return answers
            return (*answers[:3], super()._run(*inputs, **attributes | {"softcap": None})[3])


_declare_attention(Attention_23, 23, before=25)
_declare_attention(Attention_25, 25, before=None)
