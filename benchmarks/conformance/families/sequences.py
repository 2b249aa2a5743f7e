"""Sequences and optionals: made, read and brought together in files of a few nodes, whose outputs are tensors."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from conformance.cases import NEWEST, Case, values, versions_of

make_node = helper.make_node
# Operator, inputs, outputs, attributes; `x` and `z` are fed, `first`, `last`, `two` and `parts` are constants.
Node = tuple[str, list[str], list[str], dict[str, Any]]
MADE: Node = ("SequenceConstruct", ["x", "z", "x"], ["s"], {})
READ: list[Node] = [("SequenceAt", ["s", "last"], ["y0"], {}), ("SequenceLength", ["s"], ["y1"], {})]
FILES: dict[str, tuple[str, list[Node]]] = {
    "at and length": ("SequenceAt", [MADE, *READ]),
    "inserted": (
        "SequenceInsert",
        [("SequenceConstruct", ["x", "z"], ["t"], {}), ("SequenceInsert", ["t", "x", "last"], ["s"], {}), *READ],
    ),
    "appended to nothing": (
        "SequenceInsert",
        [("SequenceEmpty", [], ["t"], {}), ("SequenceInsert", ["t", "x"], ["s"], {}), *READ],
    ),
    "erased": ("SequenceErase", [(*MADE[:2], ["t"], {}), ("SequenceErase", ["t", "first"], ["s"], {}), *READ]),
    "joined": ("ConcatFromSequence", [MADE, ("ConcatFromSequence", ["s"], ["y0"], {"axis": 1})]),
    "stacked": ("ConcatFromSequence", [MADE, ("ConcatFromSequence", ["s"], ["y0"], {"axis": -1, "new_axis": 1})]),
    "split by one": ("SplitToSequence", [("SplitToSequence", ["x"], ["s"], {"axis": 1, "keepdims": 0}), *READ]),
    "split by two": ("SplitToSequence", [("SplitToSequence", ["x", "two"], ["s"], {"axis": 1}), *READ]),
    "split in parts": ("SplitToSequence", [("SplitToSequence", ["x", "parts"], ["s"], {"axis": -1}), *READ]),
}


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for label, (op_type, nodes) in FILES.items():
        for opset in versions_of(op_type):
            yield _case(op_type, opset, label, nodes)
    optional: list[Node] = [
        ("Optional", ["x"], ["o"], {}),
        ("OptionalGetElement", ["o"], ["y0"], {}),
        ("OptionalHasElement", ["o"], ["y1"], {}),
    ]
    for opset in (version for version in versions_of("OptionalGetElement") if version <= NEWEST):
        yield _case("OptionalGetElement", opset, "optional", optional)


def _case(op_type: str, opset: int, label: str, nodes: Sequence[Node]) -> Case:
    drawn = values("sequences")
    feeds = {"x": drawn.normal(2, 3), "z": drawn.normal(2, 3)}
    constants = {"first": np.array(0), "last": np.array(-1), "two": np.array(2), "parts": np.array([1, 2])}
    made = [make_node(name, inputs, outputs, **options) for name, inputs, outputs, options in nodes]
    kinds = {"SequenceLength": TensorProto.INT64, "OptionalHasElement": TensorProto.BOOL}
    results = [
        helper.make_tensor_value_info(output, kinds.get(name, TensorProto.FLOAT), None)
        for name, _, outputs, _ in nodes
        for output in outputs
        if output.startswith("y")
    ]
    read = {name for _, inputs, _, _ in nodes for name in inputs}
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape))
        for name, array in feeds.items()
        if name in read
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items() if name in read]
    graph = helper.make_graph(made, "case", given, results, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Case(
        name=f"{op_type}-{opset} {label}",
        op_type=op_type,
        opset=opset,
        model=onnx.ModelProto.FromString(model.SerializeToString()),
        feeds={name: array for name, array in feeds.items() if name in read},
    )
