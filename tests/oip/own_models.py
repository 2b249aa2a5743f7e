"""Files of which a server can be asked what the product's own model cannot show."""

from __future__ import annotations

__all__ = ["write_slow_model", "write_types_model"]

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 3
TYPES = {
    **{name.lower(): getattr(TensorProto, name) for name in ("BOOL", "FLOAT", "DOUBLE", "STRING")},
    **{
        f"{sign}int{bits}": getattr(TensorProto, f"{sign}int{bits}".upper())
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
# Products of matrices, so that a call takes some 50 ms on any machine.
SIDE, STEPS = 512, 24


def write_types_model(folder: Path, *, is_half: bool) -> Path:
    """Write a file that returns what it is given: an input of each datatype, or one of half precision alone."""
    types = {"half": TensorProto.FLOAT16} if is_half else TYPES
    nodes = [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in types]
    inputs, outputs = (
        [helper.make_tensor_value_info(f"{name}_{end}", kind, ["batch", WIDTH]) for name, kind in types.items()]
        for end in ("in", "out")
    )
    return _write(
        folder / ("half.onnx" if is_half else "types.onnx"), helper.make_graph(nodes, "types", inputs, outputs)
    )


def write_slow_model(folder: Path) -> Path:
    """Write a file that multiplies large matrices before it returns its input's sums."""
    matrix = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32) / SIDE
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Add", ["matrix", "mean"], ["h0"]),
        *(helper.make_node("MatMul", [f"h{step}", "matrix"], [f"h{step + 1}"]) for step in range(STEPS)),
        helper.make_node("ReduceMean", [f"h{STEPS}"], ["rest"], keepdims=0),
        helper.make_node("Mul", ["rest", "nought"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    weights = [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(np.float32(0), "nought")]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in "xy")
    return _write(folder / "slow.onnx", helper.make_graph(nodes, "slow", [x], [y], weights))


def _write(path: Path, graph: onnx.GraphProto) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
