"""Reductions, maxima's places, running sums and normalisations to a norm: axes as attribute and as input."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, one_node, values, versions_of

REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for short in REDUCTIONS:
        for opset in versions_of(f"Reduce{short}"):
            yield from _reduce(short, opset)
    for op_type in ("ArgMax", "ArgMin"):
        for opset in versions_of(op_type):
            yield from _arg(op_type, opset)
    for opset in versions_of("TopK"):
        yield from _top_k(opset)
    yield from _running()


def _running() -> Iterator[Case]:
    x = values("running").normal(3, 4)
    for op_type in ("CumSum", "CumProd"):
        for opset in versions_of(op_type):
            for options in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
                for axis in (0, -1):
                    yield one_node(op_type, x, np.array(axis), opset=opset, label=f"axis {axis}", **options)


def _reduce(short: str, opset: int) -> Iterator[Case]:
    import torch

    op_type = f"Reduce{short}"
    drawn = values(op_type)
    x = drawn.positive(2, 3, 4)
    by_torch: dict[str, Any] = {
        "L1": lambda x, axes, keep: x.abs().sum(axes, keep),
        "L2": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
        "LogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
        "LogSumExp": torch.logsumexp,
        "Max": torch.amax,
        "Mean": torch.mean,
        "Min": torch.amin,
        "Sum": torch.sum,
        "SumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
    }
    moved = 13 if short == "Sum" else 18
    for axes in (None, [1], [0, 2], [-1]):
        if axes == [-1] and opset < 11:
            continue
        for keep in (1, 0):
            options: dict[str, Any] = {} if keep else {"keepdims": 0}
            inputs: list[Array] = [x]
            if axes is not None and opset < moved:
                options["axes"] = axes
            elif axes is not None:
                inputs.append(np.array(axes))
            along = axes if axes is not None else [0, 1, 2]
            torch_one = by_torch.get(short)
            answer = torch_one and (
                lambda x, *_, along=along, keep=keep, torch_one=torch_one: torch_one(x, along, bool(keep))
            )
            label = "" if axes is None or opset < moved else f"axes {axes}"
            yield one_node(op_type, *inputs, opset=opset, label=label, torch=answer, **options)
    if opset >= moved:
        yield one_node(op_type, x, np.zeros(0, np.int64), opset=opset, label="no axes", noop_with_empty_axes=1)
        yield one_node(op_type, x, opset=opset, label="axes left out", noop_with_empty_axes=1)
        yield one_node(op_type, x, np.zeros(0, np.int64), opset=opset, label="empty axes")
    if short not in {"L2", "LogSum", "LogSumExp", "Mean"}:
        whole = drawn.whole(-4, 5, 2, 3, dtype=np.int32)
        yield one_node(op_type, whole, opset=opset, label="int32")
    if short == "LogSumExp":
        large = np.array([[1000, 999], [-1000, -1000]], np.float32)
        axes_input = [np.array([1])] if opset >= moved else []
        options = {} if opset >= moved else {"axes": [1]}
        yield one_node(op_type, large, *axes_input, opset=opset, label="large", **options)


def _along(reduce: Any, axes: list[int], keeps: bool, x: Any, *_: Any) -> Any:
    return reduce(x, axes, keeps)


def _arg(op_type: str, opset: int) -> Iterator[Case]:
    x = values(op_type).whole(0, 3, 3, 5, dtype=np.float32)
    for axis in (0, 1) if opset < 11 else (0, 1, -1):
        for keep in (1, 0):
            yield one_node(op_type, x, opset=opset, axis=axis, keepdims=keep)
    yield one_node(op_type, x, opset=opset, label="default")
    if opset >= 12:
        yield one_node(op_type, x, opset=opset, axis=1, select_last_index=1)


def _top_k(opset: int) -> Iterator[Case]:
    x = values("TopK").normal(3, 5)
    if opset == 1:
        for axis in (0, 1):
            yield one_node("TopK", x, opset=opset, outputs=2, axis=axis, k=2)
        return
    for axis in (0, 1, -1) if opset >= 11 else (0, 1):
        yield one_node("TopK", x, np.array([2]), opset=opset, outputs=2, axis=axis)
    if opset >= 11:
        yield one_node("TopK", x, np.array([2]), opset=opset, outputs=2, largest=0)
        ties = np.array([[1, 3, 3, 3, 0], [2, 2, 2, 2, 2]], np.float32)
        yield one_node("TopK", ties, np.array([2]), opset=opset, outputs=2, label="ties")
        yield one_node("TopK", ties, np.array([3]), opset=opset, outputs=2, label="ties", largest=0)
