"""What is taken out of a file for engines without casts and argmaxes, and what must stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from toolkit.durable import sha256_bytes
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.engines.ncnn_pnnx import cut_edges


def build(*nodes: onnx.NodeProto, outputs: tuple[tuple[str, int], ...]) -> ModelSource:
    inputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 3])]
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs]
    graph = helper.make_graph(list(nodes), "g", inputs, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("m.onnx"))


CAST = helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT)
SCORES = helper.make_node("Neg", ["pixels"], ["scores"])
OUTPUTS = (("scores", TensorProto.FLOAT), ("label", TensorProto.INT64))
IMAGES = np.array([[3, 1, 2], [9, 8, 7], [5, 5, 200]], np.uint8)


def session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("keeps", "axis"), [(0, 1), (1, 1), (0, 0)])
def test_the_rest_with_its_edges_answers_as_the_whole(keeps: int, axis: int) -> None:
    argmax = helper.make_node("ArgMax", ["scores"], ["label"], axis=axis, keepdims=keeps)
    source = build(CAST, SCORES, argmax, outputs=OUTPUTS)
    edges = cut_edges(source)
    assert [node.op_type for node in onnx.ModelProto.FromString(edges.model).graph.node] == ["Neg"]
    assert edges.describe() == ["Cast of images", "ArgMax to label"]
    rest = session(edges.model).run(list(edges.outputs), edges.enter({"images": IMAGES}))
    answers = edges.leave(dict(zip(edges.outputs, rest, strict=True)))
    for name, value in zip(("scores", "label"), session(source.model).run(None, {"images": IMAGES}), strict=True):
        np.testing.assert_array_equal(answers[name], value, strict=True)


def test_a_cast_that_is_not_alone_stays() -> None:
    second = helper.make_node("Cast", ["images"], ["other"], to=TensorProto.INT64)
    outputs = (("scores", TensorProto.FLOAT), ("other", TensorProto.INT64))
    assert cut_edges(build(CAST, SCORES, second, outputs=outputs)).describe() == []


def test_an_argmax_of_something_hidden_stays() -> None:
    argmax = helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)
    assert cut_edges(build(CAST, SCORES, argmax, outputs=OUTPUTS[1:])).describe() == ["Cast of images"]


def test_an_argmax_that_takes_the_last_of_equals_stays() -> None:
    argmax = helper.make_node("ArgMax", ["scores"], ["label"], axis=1, select_last_index=1)
    assert cut_edges(build(CAST, SCORES, argmax, outputs=OUTPUTS)).describe() == ["Cast of images"]
