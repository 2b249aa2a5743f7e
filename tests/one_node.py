"""Files of one node, and what the reference answers to them."""

from __future__ import annotations

__all__ = ["NEWEST", "Array", "distance", "made", "node_file", "run_by_ort", "run_model", "run_node", "wide"]

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from toolkit.durable import sha256_bytes
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.references.widened import WidenedRuntime

Array = NDArray[Any]
NEWEST = onnx.defs.onnx_opset_version()


@lru_cache
def generator_of(test: str) -> np.random.Generator:
    return np.random.default_rng(3)


def made(*shape: int) -> Array:
    """Each test draws its own numbers, whichever ran before it in the same process."""
    return generator_of(os.environ.get("PYTEST_CURRENT_TEST", "")).standard_normal(shape).astype(np.float32)


def distance(answer: Array, wanted: Array) -> float:
    """The largest difference, as a part of the largest number wanted where that is above 1: float32 rounds so."""
    return float(np.abs(answer - wanted).max() / max(1.0, np.abs(wanted).max()))


def node_file(
    op_type: str,
    arrays: Sequence[Array | None],
    *,
    opset: int,
    outputs: int = 1,
    inside: bool = False,
    domain: str = "",
    **attributes: Any,
) -> onnx.ModelProto:
    """One node; `inside` a function of its own, whose opset is its own."""
    names = ["" if array is None else f"x{index}" for index, array in enumerate(arrays)]
    made_outputs = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op_type, names, made_outputs, domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape))
        for name, array in zip(names, arrays, strict=True)
        if array is not None
    ]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in made_outputs]
    own = [helper.make_opsetid(domain, opset), *([helper.make_opsetid("", 18)] if domain else [])]
    if not inside:
        return helper.make_model(helper.make_graph([node], "one", inputs, values), opset_imports=own)
    given = [name for name in names if name]
    function = helper.make_function("own", "Own", given, made_outputs, [node], own)
    call = helper.make_node("Own", given, made_outputs, domain="own")
    opsets = [helper.make_opsetid("", NEWEST), helper.make_opsetid("own", 1)]
    graph = helper.make_graph([call], "one", inputs, values)
    return helper.make_model(graph, opset_imports=opsets, functions=[function])


def run_model(
    model: onnx.ModelProto, arrays: Sequence[Array | None], runtime: type[Runtime] = WidenedRuntime
) -> list[Array]:
    content = model.SerializeToString()
    source = ModelSource(model=content, sha256=sha256_bytes(content), path=Path("one.onnx"))
    opened = runtime(source, RuntimeSettings(runtime=runtime.name))
    feeds = {f"x{index}": array for index, array in enumerate(arrays) if array is not None}
    return list(opened.compute(feeds).values())


def run_node(op_type: str, *arrays: Array | None, opset: int, **options: Any) -> list[Array]:
    return run_model(node_file(op_type, arrays, opset=opset, **options), arrays)


def run_by_ort(op_type: str, *arrays: Array | None, opset: int, **attributes: Any) -> list[Array]:
    """ONNX Runtime's answer to the same file, each output's type and shape as it finds them."""
    model = node_file(op_type, arrays, opset=opset, **attributes)
    model.ir_version = 10
    for value in model.graph.output:
        value.ClearField("type")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {f"x{index}": array for index, array in enumerate(arrays) if array is not None}
    return [np.asarray(value) for value in session.run(None, feeds)]


def wide(array: Array) -> Array:
    return array.astype(np.float64)
