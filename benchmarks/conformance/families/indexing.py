"""Scatter and its kin, and OneHot: writing by index."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator

import numpy as np

from conformance.cases import Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    yield from _scatters()
    yield from _one_hot()


def _scatters() -> Iterator[Case]:
    drawn = values("Scatter")
    x, places = drawn.normal(3, 5), np.array([[1, 3, 4], [0, 2, 1]])
    for op_type in ("Scatter", "ScatterElements"):
        for opset in [9] if op_type == "Scatter" else versions_of(op_type):
            yield one_node(op_type, x, places, drawn.normal(2, 3), opset=opset, axis=1)
            yield one_node(op_type, x, np.array([[1, 0, 2]]), drawn.normal(1, 3), opset=opset, label="default")
            for reduction in _reductions(op_type, opset):
                twice = np.array([[1, 1, -4], [4, 4, 4]])
                yield one_node(op_type, x, twice, drawn.normal(2, 3), opset=opset, axis=1, reduction=reduction)
    for opset in versions_of("ScatterND"):
        yield one_node("ScatterND", x, np.array([[0, -1], [2, 1]]), drawn.normal(2), opset=opset)
        for reduction in _reductions("ScatterND", opset):
            twice = np.array([[0], [0], [-1]])
            yield one_node("ScatterND", x, twice, drawn.normal(3, 5), opset=opset, reduction=reduction)


def _reductions(op_type: str, opset: int) -> tuple[str, ...]:
    found = ("add", "mul") if opset >= 16 else ()
    return (*found, "max", "min") if opset >= 18 and op_type != "Scatter" else found


def _one_hot() -> Iterator[Case]:
    on_off, places = np.array([2, 5], np.float32), np.array([[0, 2, 1], [3, 3, 0]])
    for opset in versions_of("OneHot"):
        for axis in (0, 1, -1, -2):
            yield one_node("OneHot", places, np.array(4), on_off, opset=opset, fed=1, axis=axis)
        for depth in (np.array([4]), np.array([4], np.float32)):
            yield one_node("OneHot", places, depth, on_off, opset=opset, label=f"depth in a list of {depth.dtype}")
        yield one_node("OneHot", np.array([0, 7, -9]), np.array(4), on_off, opset=opset, label="outside")
        yield one_node("OneHot", np.array([0, -1, -4]), np.array(4), on_off, opset=opset, label="negative")
        yield one_node("OneHot", places, np.array(4), np.array([5, 9]), opset=opset, label="whole numbers")
