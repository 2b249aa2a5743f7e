"""Loop, Scan and If: what is left out, what is stacked, in which order."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from conformance.cases import Array, Case, values, versions_of

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
value = helper.make_tensor_value_info


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for opset in (8, *versions_of("Loop", since=11)):  # the first text, with operators that are old enough
        for shape in ([], [1], [3], [2, 3], [1, 2, 3]):
            yield _loop(opset, shape)
        yield _loop(opset, [2], trips=None)
        yield _loop(opset, [], condition=None)
        yield _loop(opset, [], trips=None, condition=None)
        yield _loop(opset, [2, 3], trips=0)
        yield _loop(opset, [], condition=False)
    for opset in versions_of("Scan", since=9):
        yield _scan(opset, {})
        yield _scan(opset, {"scan_input_directions": [1], "scan_output_directions": [0, 1]})
        yield _scan(opset, {"scan_input_axes": [1], "scan_output_axes": [1, 0]}, size=(3, 4, 2))
        yield _scan(opset, {"scan_input_axes": [2], "scan_input_directions": [1]}, size=(3, 2, 4))
    for lengths in (None, [2, 4]):
        for directions in ([0], [1]):
            yield _scan(8, {"directions": directions}, lengths=lengths)
    for opset in versions_of("If"):
        for condition in (np.array(True), np.array([False])):
            yield _branches(opset, condition)


def _loop(opset: int, shape: list[int], *, trips: int | None = 4, condition: bool | None = True) -> Case:
    """Double x until the third round, and stack its sum in a shape."""
    nodes = [
        helper.make_node("Add", ["state", "state"], ["next"]),
        helper.make_node("ReduceSum", ["next"], ["sum"], keepdims=0),
        helper.make_node("Expand", ["sum", "shape"], ["shown"]),
        helper.make_node("Less", ["iteration", "most"], ["still"]),
    ]
    weights = [
        numpy_helper.from_array(np.array(shape, np.int64), "shape"),
        numpy_helper.from_array(np.array(2), "most"),
    ]
    if opset < 9:  # Less takes no whole numbers yet
        nodes[-1:] = [
            helper.make_node("Cast", ["iteration"], ["counted"], to=FLOAT),
            helper.make_node("Less", ["counted", "most"], ["still"]),
        ]
        weights[1] = numpy_helper.from_array(np.float32(2), "most")
    body = helper.make_graph(
        nodes,
        "body",
        [value("iteration", INT64, []), value("goes_on", BOOL, []), value("state", FLOAT, [2])],
        [value("still", BOOL, []), value("next", FLOAT, [2]), value("shown", FLOAT, shape)],
        weights,
    )
    x = values("Loop").normal(2)
    bounds = [None if item is None else np.array(item) for item in (trips, condition)]
    label = f"trips={trips} condition={condition} stacks {shape}"
    return _case("Loop", opset, label, [*bounds, x], ["y0", "y1"], body=body)


def _scan(
    opset: int, options: dict[str, Any], *, size: tuple[int, ...] = (4, 3), lengths: list[int] | None = None
) -> Case:
    """Sum up rows, and double each."""
    axis = options.get("scan_input_axes", [0])[0]
    rows = [length for place, length in enumerate(size) if place != axis]
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
    drawn, batch = values("Scan"), [2] if opset == 8 else []
    arrays: list[Array | None] = [drawn.normal(*batch, *rows), drawn.normal(*batch, *size)]
    if opset == 8:
        arrays.insert(0, None if lengths is None else np.array(lengths))
    label = " ".join([*(f"{key}={item}" for key, item in options.items()), f"lengths={lengths}" if opset == 8 else ""])
    return _case("Scan", opset, label.strip(), arrays, ["y0", "y1", "y2"], body=body, num_scan_inputs=1, **options)


def _branches(opset: int, condition: Array) -> Case:
    branches = {
        name: helper.make_graph([helper.make_node(op_type, ["x1"], [name])], name, [], [value(name, FLOAT, [2, 3])])
        for name, op_type in (("then_branch", "Exp"), ("else_branch", "Neg"))
    }
    return _case(
        "If", opset, f"{condition.tolist()}", [condition, values("If").normal(2, 3)], ["y0"], False, **branches
    )


def _case(
    op_type: str,
    opset: int,
    label: str,
    arrays: Sequence[Array | None],
    outputs: list[str],
    reads_all: bool = True,
    **attributes: Any,
) -> Case:
    given = {f"x{index}": array for index, array in enumerate(arrays) if array is not None}
    names = [name if name in given else "" for name in (f"x{index}" for index in range(len(arrays)))]
    node = helper.make_node(op_type, names if reads_all else names[:1], outputs, **attributes)
    inputs = [
        value(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape)) for name, array in given.items()
    ]
    graph = helper.make_graph([node], "case", inputs, [value(name, FLOAT, None) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Case(
        name=f"{op_type}-{opset} {label}",
        op_type=op_type,
        opset=opset,
        model=onnx.ModelProto.FromString(model.SerializeToString()),
        feeds=given,
        arrays=tuple(arrays),
    )
