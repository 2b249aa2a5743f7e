"""Loop and Scan: what they stack, along which axis, in which direction, and where nothing ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from one_node import Array, made, run_model, wide
from onnx import TensorProto, helper, numpy_helper

from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
value = helper.make_tensor_value_info


def model_of(node: onnx.NodeProto, opset: int, inputs: Sequence[Array | None], outputs: int) -> onnx.ModelProto:
    given = [
        value(f"x{index}", helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape))
        for index, array in enumerate(inputs)
        if array is not None
    ]
    results = [value(f"y{index}", FLOAT, None) for index in range(outputs)]
    graph = helper.make_graph([node], "one", given, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def looped(inputs: list[Array | None], *, opset: int, shape: list[int], stops_after: int | None = None) -> Any:
    """y0 = x doubled each time, y1 = its sum in the shape asked for, stacked."""
    nodes = [
        helper.make_node("Add", ["state", "state"], ["next"]),
        helper.make_node("ReduceSum", ["next"], ["sum"], keepdims=0),
        helper.make_node("Expand", ["sum", "shape"], ["shown"]),
    ]
    weights = [numpy_helper.from_array(np.array(shape, np.int64), "shape")]
    if stops_after is None:
        nodes.append(helper.make_node("Identity", ["goes_on"], ["still"]))
    else:
        nodes.append(helper.make_node("Less", ["iteration", "most"], ["still"]))
        weights.append(numpy_helper.from_array(np.array(stops_after - 1), "most"))
    body = helper.make_graph(
        nodes,
        "body",
        [value("iteration", INT64, []), value("goes_on", BOOL, []), value("state", FLOAT, [2])],
        [value("still", BOOL, []), value("next", FLOAT, [2]), value("shown", FLOAT, shape)],
        weights,
    )
    names = [f"x{index}" if array is not None else "" for index, array in enumerate(inputs)]
    return model_of(helper.make_node("Loop", names, ["y0", "y1"], body=body), opset, inputs, 2)


@pytest.mark.parametrize("opset", [8, 11, 13, 21])
@pytest.mark.parametrize("shape", [[], [1], [3], [2, 3], [1, 2, 3], [0]])
def test_a_loop_stacks_its_outputs_along_a_new_axis(shape: list[int], opset: int) -> None:
    x = np.array([1, 2], np.float32)
    inputs: list[Array | None] = [np.array(3), np.array(True), x]
    last, stacked = run_model(looped(inputs, opset=opset, shape=shape), inputs)
    assert last.tolist() == [8, 16]
    assert stacked.dtype == np.float64
    assert stacked.shape == (3, *shape)
    assert np.array_equal(stacked, np.stack([np.full(shape, total, np.float64) for total in (6.0, 12.0, 24.0)]))


@pytest.mark.parametrize(("trips", "condition"), [(None, None), (None, True), (9, None), (9, True)])
def test_a_loop_without_bounds_stops_by_its_own_condition(trips: int | None, condition: bool | None) -> None:
    bounds = [None if item is None else np.array(item) for item in (trips, condition)]
    inputs = [*bounds, np.array([1, 2], np.float32)]
    last, stacked = run_model(looped(inputs, opset=13, shape=[], stops_after=2), inputs)
    assert last.tolist() == [4, 8]
    assert stacked.tolist() == [6, 12]


@pytest.mark.parametrize(("trips", "condition"), [(0, True), (3, False)])
def test_a_loop_that_never_runs_gives_nothing_in_the_shape_declared(trips: int, condition: bool) -> None:
    inputs: list[Array | None] = [np.array(trips), np.array(condition), np.array([1, 2], np.float32)]
    last, stacked = run_model(looped(inputs, opset=13, shape=[2, 3]), inputs)
    assert last.tolist() == [1, 2]
    assert stacked.shape == (0, 2, 3)
    assert stacked.dtype == np.float64


def scanned(inputs: list[Array | None], *, opset: int, rows: list[int], **attributes: Any) -> Any:
    """The running sum of the rows, and each row doubled."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "row"], ["next"]),
            helper.make_node("Identity", ["next"], ["so_far"]),
            helper.make_node("Add", ["row", "row"], ["doubled"]),
        ],
        "body",
        [value("state", FLOAT, rows), value("row", FLOAT, rows)],
        [value(name, FLOAT, rows) for name in ("next", "so_far", "doubled")],
    )
    names = [f"x{index}" if array is not None else "" for index, array in enumerate(inputs)]
    node = helper.make_node("Scan", names, ["y0", "y1", "y2"], body=body, num_scan_inputs=1, **attributes)
    return model_of(node, opset, inputs, 3)


@pytest.mark.parametrize("opset", [9, 11, 16, 21])
def test_a_scan_reads_and_writes_along_the_axes_and_in_the_directions_named(opset: int) -> None:
    x, start = made(3, 4, 2), np.zeros((3, 2), np.float32)
    model = scanned(
        [start, x],
        opset=opset,
        rows=[3, 2],
        scan_input_axes=[1],
        scan_input_directions=[1],
        scan_output_axes=[2, 0],
        scan_output_directions=[0, 1],
    )
    last, so_far, doubled = run_model(model, [start, x])
    backwards = wide(x)[:, ::-1]
    assert np.abs(last - wide(x).sum(1)).max() < 1e-15 * 10
    assert np.abs(so_far - np.moveaxis(backwards.cumsum(1), 1, 2)).max() < 1e-14
    assert np.array_equal(doubled, np.moveaxis(2 * wide(x), 1, 0))
    assert run_model(model, [start, x], OnnxEvaluatorRuntime)[1].dtype == np.float32


@pytest.mark.parametrize("lengths", [None, [2, 4, 1]])
@pytest.mark.parametrize("direction", [0, 1])
def test_a_scan_of_opset_8_ends_each_item_at_its_own_length(lengths: list[int] | None, direction: int) -> None:
    x, start = made(3, 4, 2), made(3, 2)
    given: list[Array | None] = [None if lengths is None else np.array(lengths), start, x]
    answers = run_model(scanned(given, opset=8, rows=[2], directions=[direction]), given)
    last, so_far, doubled = (np.zeros(shape) for shape in ((3, 2), (3, 4, 2), (3, 4, 2)))
    for item, length in enumerate(lengths or [4] * 3):
        rows = wide(x)[item, :length][:: -1 if direction else 1]
        so_far[item, :length] = wide(start)[item] + rows.cumsum(0)
        doubled[item, :length] = 2 * rows
        last[item] = so_far[item, length - 1]
    for answer, expected in zip(answers, (last, so_far, doubled), strict=True):
        assert np.abs(answer - expected).max() < 1e-14
