"""Softmax, LogSoftmax, Hardmax: every opset, every axis."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the default axis, each axis, ranks 1 to 4, ties, large numbers and none at all."""
    for op_type in ("Softmax", "LogSoftmax", "Hardmax"):
        for opset in versions_of(op_type):
            x = values(op_type).normal(2, 3, 4)
            yield one_node(op_type, x, opset=opset, label="default", torch=_by_torch(op_type, opset, None))
            axes = (0, 1, 2) if opset < 11 else (0, 1, 2, -1, -2)
            for axis in axes:
                yield one_node(op_type, x, opset=opset, axis=axis, torch=_by_torch(op_type, opset, axis))
            row = np.array([1, 3, 3, -2], np.float32)
            yield one_node(op_type, row, opset=opset, label="ties", axis=0, torch=_by_torch(op_type, opset, 0))
            large = np.array([[1000, 999, -1000]], np.float32)
            yield one_node(op_type, large, opset=opset, label="large", axis=1, torch=_by_torch(op_type, opset, 1))
            four = values(op_type).normal(2, 2, 3, 2)
            yield one_node(op_type, four, opset=opset, axis=2, torch=_by_torch(op_type, opset, 2))


def _by_torch(op_type: str, opset: int, axis: int | None) -> Any:
    import torch

    along = {
        "Softmax": torch.softmax,
        "LogSoftmax": torch.log_softmax,
        "Hardmax": lambda x, dim: torch.nn.functional.one_hot(x.argmax(dim), x.shape[dim]).movedim(-1, dim).double(),
    }[op_type]
    if opset >= 13:
        return lambda x: along(x, -1 if axis is None else axis)
    start = 1 if axis is None else axis
    return lambda x: along(x.reshape(int(np.prod(x.shape[: start % x.ndim])), -1), 1).reshape(x.shape)
