"""Strangers' files written in another way: the same function, other rounding at most."""

from __future__ import annotations

__all__ = ["REWRITES"]

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

Rewrite = Callable[[onnx.ModelProto], onnx.ModelProto]


def optimised_by_onnx_runtime(model: onnx.ModelProto) -> onnx.ModelProto:
    """As ONNX Runtime's own optimiser writes it, fused nodes of its domain included."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "optimised.onnx"))
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def weights_as_constants_and_other_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every weight in a node of its own, and no node with its name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = [helper.make_node("Constant", [], [item.name], value=item) for item in copy.graph.initializer]
    nodes = list(copy.graph.node)
    del copy.graph.initializer[:]
    del copy.graph.node[:]
    for node in nodes:
        node.name = ""
    copy.graph.node.extend([*reversed(constants), *nodes])
    return copy


def inputs_divided_and_multiplied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every input of floats passes through a division by 3 and a product with 3, which round."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for item in copy.graph.input:
        kind = helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)
        if kind.kind != "f":
            continue
        changed, three = f"{item.name}_again", f"{item.name}_three"
        for node in copy.graph.node:
            node.input[:] = [changed if name == item.name else name for name in node.input]
        copy.graph.initializer.append(numpy_helper.from_array(np.array(3, kind), three))
        made = [
            helper.make_node("Div", [item.name, three], [f"{item.name}_third"]),
            helper.make_node("Mul", [f"{item.name}_third", three], [changed]),
        ]
        nodes = list(copy.graph.node)
        del copy.graph.node[:]
        copy.graph.node.extend([*made, *nodes])
    return copy


REWRITES: tuple[Rewrite, ...] = (
    optimised_by_onnx_runtime,
    weights_as_constants_and_other_names,
    inputs_divided_and_multiplied,
)
