"""OneHot, Scatter, GatherElements, Unique, CumSum, Pad: opsets and values that ONNX's evaluator has otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import Array, made, node_file, run_by_ort, run_model, run_node, wide

from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime

VALUES = np.array([2, 5], np.float32)


@pytest.mark.parametrize(
    "depth", [np.array(4), np.array([4]), np.array([4], np.float32)], ids=["scalar", "list", "float"]
)
@pytest.mark.parametrize(("opset", "last"), [(9, [2, 2, 2, 2]), (11, [2, 2, 2, 5])])
def test_one_hot_by_hand(opset: int, last: list[int], depth: Array) -> None:
    (y,) = run_node("OneHot", np.array([0, 7, -9, -1]), depth, VALUES, opset=opset)
    nowhere = [2, 2, 2, 2]
    # Changelog.md, OneHot-9: what is outside 0 to depth - 1 is off; since opset 11 -1 is the last.
    assert y.tolist() == [[5, 2, 2, 2], nowhere, nowhere, last]
    assert y.dtype == np.float64


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_one_hot_puts_its_axis_where_it_is_told(axis: int) -> None:
    indices, depth = np.array([[0, 2, 1], [3, -1, 0]]), np.array([4])
    (y,) = run_node("OneHot", indices, depth, VALUES, opset=11, axis=axis)
    assert np.array_equal(y, run_by_ort("OneHot", indices, depth, VALUES, opset=11, axis=axis)[0])
    (narrow,) = run_model(
        node_file("OneHot", [indices, depth, VALUES], opset=11, axis=axis),
        [indices, depth, VALUES],
        OnnxEvaluatorRuntime,
    )
    assert narrow.dtype == np.float32


@pytest.mark.parametrize("opset", [9, 10])
def test_scatter_is_scatter_elements_by_another_name(opset: int) -> None:
    x, updates = made(2, 5), made(2, 2)
    (y,) = run_node("Scatter", x, np.array([[1, 3], [0, 2]]), updates, opset=opset, axis=1)
    expected = wide(x)
    expected[[[0], [1]], [[1, 3], [0, 2]]] = updates
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements_takes_fewer_places_than_there_are(axis: int) -> None:
    x, indices = made(4, 3, 2), np.array([[[-1], [0]], [[1], [-2]]])
    (y,) = run_node("GatherElements", x, indices, opset=13, axis=axis)
    expected = np.zeros(indices.shape)
    for place in np.ndindex(*indices.shape):
        source = list(place)
        source[axis] = int(indices[place])
        expected[place] = x[tuple(source)]
    assert np.array_equal(y, expected)


def test_unique_keeps_the_order_of_what_comes_first() -> None:
    x = np.array([2, 1, 1, 3, 4, 3], np.float32)
    answers = [answer.tolist() for answer in run_node("Unique", x, opset=11, outputs=4, sorted=0)]
    # Operators.md, Unique, example 1.
    assert answers == [[2, 1, 3, 4], [0, 1, 3, 4], [0, 1, 1, 2, 3, 2], [1, 2, 2, 1]]
    (only,) = run_node("Unique", x, opset=11, sorted=0)
    assert only.tolist() == [2, 1, 3, 4]
    *_, numbers, _ = run_node("Unique", np.array([3, 1, 2, 3], np.float32), opset=11, outputs=4, sorted=0)
    assert numbers.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("ordered", [0, 1])
def test_unique_slices_as_onnx_runtime_has_them(axis: int | None, ordered: int) -> None:
    x = np.array([[3, 3, 2, 1, 3], [1, 1, 2, 0, 1], [3, 3, 2, 1, 3]], np.float32)
    options: dict[str, Any] = {"opset": 11, "outputs": 4, "sorted": ordered}
    if axis is not None:
        options["axis"] = axis
    for one, other in zip(run_node("Unique", x, **options), run_by_ort("Unique", x, **options), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("axis", [np.array(1), np.array([-1])], ids=["scalar", "list"])
def test_sums_so_far(axis: Array) -> None:
    x = np.array([[1, 2, 4]], np.float32)
    found = {
        (exclusive, reverse): run_node("CumSum", x, axis, opset=14, exclusive=exclusive, reverse=reverse)[0].tolist()
        for exclusive in (0, 1)
        for reverse in (0, 1)
    }
    assert found == {(0, 0): [[1, 3, 7]], (1, 0): [[0, 1, 3]], (0, 1): [[7, 6, 4]], (1, 1): [[6, 4, 0]]}


PADDED = [
    ("constant", [-1, 2], [9, 20, 30, 40, 9, 9][1:]),
    ("edge", [-1, 2], [20, 30, 40, 40, 40]),
    ("reflect", [2, -1], [30, 20, 10, 20, 30]),
    ("constant", [-1, -2], [20]),
]


@pytest.mark.parametrize("opset", [1, 2, 11, 13, 18, 21])
@pytest.mark.parametrize(("mode", "pads", "expected"), PADDED)
def test_what_is_padded_by_less_than_nothing_is_cut_off(
    mode: str, pads: list[int], expected: list[float], opset: int
) -> None:
    row = np.array([10, 20, 30, 40], np.float32)
    if opset < 11:
        options: dict[str, Any] = {"paddings" if opset == 1 else "pads": pads, "value": 9.0}
        (y,) = run_node("Pad", row, opset=opset, mode=mode, **options)
    else:
        (y,) = run_node("Pad", row, np.array(pads), np.array([9], np.float32), opset=opset, mode=mode)
    assert y.tolist() == expected


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [[1, 2, 0, 1], [3, -2, 2, 1], [-1, 0, 3, -1]])
def test_padding_of_some_axes_as_onnx_runtime_has_it(mode: str, pads: list[int]) -> None:
    given = [made(5, 2, 6), np.array(pads), None, np.array([2, -3])]
    (y,) = run_node("Pad", *given, opset=19, mode=mode)
    (other,) = run_by_ort("Pad", *given, opset=19, mode=mode)
    assert np.array_equal(y, wide(other))
