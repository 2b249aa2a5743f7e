"""Products of matrices: Gemm and MatMul of every opset, Einsum, Det."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    import torch

    for opset in versions_of("Gemm"):
        yield from _gemm(opset)
    for opset in versions_of("MatMul"):
        for left, right in (((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 1, 2, 3), (4, 3, 2))):
            drawn = values("MatMul")
            label = "by " + "x".join(map(str, right))
            pair = drawn.normal(*left), drawn.normal(*right)
            yield one_node("MatMul", *pair, opset=opset, fed=2, label=label, torch=torch.matmul)
        whole = values("MatMul").whole(-9, 9, 2, 3), values("MatMul").whole(-9, 9, 3, 2)
        if opset >= 9:
            yield one_node("MatMul", *whole, opset=opset, fed=2, label="int64")
    for opset in versions_of("Einsum"):
        for equation, shapes in (
            ("ij,jk->ik", ((2, 3), (3, 4))),
            ("bij,bjk->bik", ((2, 2, 3), (2, 3, 4))),
            ("ij->ji", ((2, 3),)),
            ("...ii->...i", ((2, 3, 3),)),
            ("i,j", ((2,), (3,))),
            ("ij,kj,lj->ikl", ((2, 3), (4, 3), (2, 3))),
        ):
            arrays = [values(equation).normal(*shape) for shape in shapes]
            by_torch = lambda *given, equation=equation: torch.einsum(equation, *given)  # noqa: E731 - one line
            yield one_node("Einsum", *arrays, opset=opset, fed=len(arrays), torch=by_torch, equation=equation)
    for opset in versions_of("Det"):
        for sizes in ((3, 3), (2, 3, 3)):
            yield one_node("Det", values("Det").normal(*sizes), opset=opset, torch=torch.linalg.det)


def _gemm(opset: int) -> Iterator[Case]:
    drawn = values("Gemm")
    a, b = drawn.normal(2, 3), drawn.normal(3, 4)
    full = drawn.normal(2, 4)
    yield _one_gemm(opset, a, b, full, {})
    yield _one_gemm(opset, a.T.copy(), b, full, {"transA": 1})
    yield _one_gemm(opset, a, b.T.copy(), full, {"transB": 1})
    yield _one_gemm(opset, a.T.copy(), b.T.copy(), full, {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0})
    spread = {"broadcast": 1} if opset < 7 else {}
    for c in (drawn.normal(4), drawn.normal(1), drawn.normal(2, 1), drawn.normal(1, 4)):
        if opset < 7 and c.ndim > 1:
            continue
        yield _one_gemm(opset, a, b, c, {**spread, "beta": 0.5})
    if opset >= 11:
        yield _one_gemm(opset, a, b, None, {"alpha": 2.0})
        yield _one_gemm(opset, a, b, np.float32(0.7).reshape(()), {})


def _one_gemm(opset: int, a: Array, b: Array, c: Array | None, options: dict[str, Any]) -> Case:
    def by_torch(a: Any, b: Any, c: Any = None) -> Any:
        a = a.T if options.get("transA") else a
        b = b.T if options.get("transB") else b
        product = options.get("alpha", 1.0) * (a @ b)
        return product if c is None else product + options.get("beta", 1.0) * c

    arrays = (a, b) if c is None else (a, b, c)
    label = "without c" if c is None else "c " + ("x".join(map(str, c.shape)) or "scalar")
    return one_node("Gemm", *arrays, opset=opset, label=label, torch=by_torch, **options)
