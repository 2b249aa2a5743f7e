"""Files of other people's making: several inputs and outputs, other types, control flow, foreign domains."""

from __future__ import annotations

__all__ = ["STRANGERS", "make_stranger"]

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL, HALF, DOUBLE = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.FLOAT16,
    TensorProto.DOUBLE,
)


def make_stranger(path: Path, name: str) -> Path:
    """Write one of the `STRANGERS` and return its path."""
    path.write_bytes(STRANGERS[name]().SerializeToString())
    return path


def _value(name: str, kind: int, shape: list[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _weight(name: str, *shape: int, dtype: type = np.float32) -> onnx.TensorProto:
    array = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape) / np.sqrt(max(shape[0], 1))
    return numpy_helper.from_array(array.astype(dtype), name)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[onnx.TensorProto] | None = None,
    *,
    domains: tuple[str, ...] = (),
    functions: list[onnx.FunctionProto] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "stranger", inputs, outputs, weights or [])
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions or [])


def _two_inputs() -> onnx.ModelProto:
    return _model(
        [
            helper.make_node("MatMul", ["left", "w"], ["wide"]),
            helper.make_node("Add", ["wide", "right"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["values"]),
            helper.make_node("ArgMax", ["values"], ["best"], axis=1, keepdims=0),
        ],
        [_value("left", FLOAT, ["n", 12]), _value("right", FLOAT, ["n", 5])],
        [_value("values", FLOAT, ["n", 5]), _value("best", INT64, ["n"])],
        [_weight("w", 12, 5)],
    )


def _convolution() -> onnx.ModelProto:
    return _model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Flatten", ["p"], ["y"]),
        ],
        [_value("x", FLOAT, ["batch", 3, 16, 16])],
        [_value("y", FLOAT, ["batch", 8])],
        [_weight("w", 8, 3, 3, 3)],
    )


def _token_ids() -> onnx.ModelProto:
    return _model(
        [
            helper.make_node("Gather", ["table", "ids"], ["e"]),
            helper.make_node("LayerNormalization", ["e", "gain", "shift"], ["n"], axis=-1),
            helper.make_node("Transpose", ["n"], ["t"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["n", "t"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["attention"], axis=-1),
            helper.make_node("MatMul", ["attention", "n"], ["y"]),
        ],
        [_value("ids", INT64, ["batch", "length"])],
        [_value("y", FLOAT, ["batch", "length", 16])],
        [_weight("table", 50, 16), _weight("gain", 16), _weight("shift", 16)],
    )


def _branches() -> onnx.ModelProto:
    def branch(operator: str) -> onnx.GraphProto:
        node = helper.make_node(operator, ["x"], [f"y_{operator}"])
        return helper.make_graph([node], operator, [], [_value(f"y_{operator}", FLOAT, ["n", 4])])

    return _model(
        [
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Greater", ["s", "zero"], ["positive"]),
            helper.make_node("If", ["positive"], ["y"], then_branch=branch("Exp"), else_branch=branch("Sigmoid")),
        ],
        [_value("x", FLOAT, ["n", 4])],
        [_value("y", FLOAT, ["n", 4]), _value("positive", BOOL, [])],
        [numpy_helper.from_array(np.float32(0), "zero")],
    )


def _loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "w"], ["m"]),
            helper.make_node("Tanh", ["m"], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [_value("i", INT64, []), _value("go", BOOL, []), _value("state", FLOAT, ["n", 6])],
        [_value("go_on", BOOL, []), _value("next", FLOAT, ["n", 6])],
    )
    return _model(
        [helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)],
        [_value("x", FLOAT, ["n", 6])],
        [_value("y", FLOAT, ["n", 6])],
        [_weight("w", 6, 6), numpy_helper.from_array(np.int64(5), "times")],
    )


def _foreign() -> onnx.ModelProto:
    return _model(
        [helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft", alpha=0.5)],
        [_value("x", FLOAT, ["n", 9])],
        [_value("y", FLOAT, ["n", 3])],
        [_weight("w", 9, 3)],
        domains=("com.microsoft",),
    )


def _half() -> onnx.ModelProto:
    return _model(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        [_value("x", HALF, ["n", 32])],
        [_value("y", HALF, ["n", 4])],
        [_weight("w", 32, 4, dtype=np.float16)],
    )


def _double_and_bytes() -> onnx.ModelProto:
    return _model(
        [
            helper.make_node("Cast", ["picture"], ["wide"], to=DOUBLE),
            helper.make_node("ReduceMean", ["wide"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "scale"], ["y"]),
        ],
        [_value("picture", TensorProto.UINT8, [4, 4]), _value("scale", DOUBLE, [])],
        [_value("y", DOUBLE, [])],
    )


def _own_function() -> onnx.ModelProto:
    function = helper.make_function(
        "mine",
        "Double",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    return _model(
        [helper.make_node("Double", ["x"], ["d"], domain="mine"), helper.make_node("MatMul", ["d", "w"], ["y"])],
        [_value("x", FLOAT, ["n", 5])],
        [_value("y", FLOAT, ["n", 2])],
        [_weight("w", 5, 2)],
        domains=("mine",),
        functions=[function],
    )


def _masked() -> onnx.ModelProto:
    return _model(
        [
            helper.make_node("Less", ["x", "zero"], ["negative"]),
            helper.make_node("Where", ["negative", "low", "x"], ["y"]),
        ],
        [_value("x", FLOAT, ["n", 3])],
        [_value("y", FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(-np.inf), "low"),
        ],
    )


def _quantised() -> onnx.ModelProto:
    rounded = np.random.default_rng(5).integers(-127, 128, (8, 4)).astype(np.int8)
    return _model(
        [
            helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["v"], axis=1),
            helper.make_node("MatMul", ["d", "v"], ["y"]),
        ],
        [_value("x", FLOAT, ["n", 8])],
        [_value("y", FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(rounded, "w"),
            numpy_helper.from_array(np.full(4, 0.01, np.float32), "w_scale"),
            numpy_helper.from_array(np.zeros(4, np.int8), "w_zero"),
            numpy_helper.from_array(np.float32(0.05), "x_scale"),
            numpy_helper.from_array(np.uint8(128), "x_zero"),
        ],
    )


def _unknown_rank() -> onnx.ModelProto:
    model = _two_inputs()
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")
    return model


def _chance() -> onnx.ModelProto:
    return _model(
        [helper.make_node("RandomNormalLike", ["x"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])],
        [_value("x", FLOAT, ["n", 3])],
        [_value("y", FLOAT, ["n", 3])],
    )


STRANGERS: dict[str, Callable[[], onnx.ModelProto]] = {
    "two inputs": _two_inputs,
    "convolution": _convolution,
    "token ids": _token_ids,
    "branches": _branches,
    "loop": _loop,
    "foreign domain": _foreign,
    "half": _half,
    "double and bytes": _double_and_bytes,
    "own function": _own_function,
    "masked": _masked,
    "quantised": _quantised,
    "unknown rank": _unknown_rank,
    "chance": _chance,
}
