"""A stranger's file of strings: warmed, batched only where its rows are apart, answered as JSON, binary and classes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from served import Served, serving

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
from toolkit.serving.opening import open_engine

KEYS = {"keys_strings": ["red", "green"], "values_floats": [1.0, 2.0], "default_float": 0.0, "domain": "ai.onnx.ml"}
ENCODE = helper.make_node("LabelEncoder", ["word"], ["code"], **KEYS)
RED, BLUE = [2.0, 0.0, -1.0], [1.0, -1.0, -2.0]


def source_of(name: str, nodes: list[onnx.NodeProto], outputs: list[onnx.ValueInfoProto]) -> ModelSource:
    word = helper.make_tensor_value_info("word", TensorProto.STRING, ["batch", 1])
    weights = [
        numpy_helper.from_array(np.float32([[1, -1, -2]]), "shift"),
        numpy_helper.from_array(np.array([0]), "rows"),
    ]
    graph = helper.make_graph(nodes, "g", [word], outputs, weights)
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10)
    onnx.checker.check_model(model)
    return ModelSource.in_memory(model.SerializeToString(), Path(name))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])
    twice = helper.make_tensor_value_info("twice", TensorProto.STRING, ["batch", 1])
    nodes = [ENCODE, helper.make_node("Add", ["code", "shift"], ["scores"])]
    nodes.append(helper.make_node("StringConcat", ["word", "word"], ["twice"]))
    path = tmp_path_factory.mktemp("served") / "colours.onnx"
    path.write_bytes(source_of("colours.onnx", nodes, [scores, twice]).model)
    with serving(path, "--max-batch", "8") as started:
        yield started


def infer(server: Served, **more: object) -> dict[str, object]:
    word = {"name": "word", "shape": [2, 1], "datatype": "BYTES", "data": ["red", "blau-grün"]}
    status, _, body = server.ask("/v2/models/colours/infer", json.dumps({"inputs": [word], **more}).encode())
    assert status == 200, body
    return {item["name"]: (item["datatype"], item["shape"], item["data"]) for item in json.loads(body)["outputs"]}


def test_strings_come_and_go_in_json(server: Served) -> None:
    told = infer(server)
    assert told["scores"] == ("FP32", [2, 3], [*RED, *BLUE])
    assert told["twice"] == ("BYTES", [2, 1], ["redred", "blau-grünblau-grün"])


def test_classes_of_strings_are_told(server: Served) -> None:
    told = infer(server, outputs=[{"name": "scores", "parameters": {"classification": 2}}])
    assert told == {"scores": ("BYTES", [2, 2], ["2.0:0", "0.0:1", "1.0:0", "-1.0:1"])}


def test_strings_come_and_go_in_binary(server: Served) -> None:
    packed = b"\x03\0\0\0red" + b"\x0a\0\0\0blau-gr\xc3\xbcn"
    word = {"name": "word", "shape": [2, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(packed)}}
    head = json.dumps({"inputs": [word], "parameters": {"binary_data_output": True}}).encode()
    length = str(len(head))
    status, headers, body = server.ask(
        "/v2/models/colours/infer", head + packed, Inference_Header_Content_Length=length
    )
    rest = body[int(headers["inference-header-content-length"]) :]
    assert (status, np.frombuffer(rest[:24], "<f4").tolist()) == (200, [*RED, *BLUE])
    assert rest[24:] == b"\x06\0\0\0redred" + b"\x14\0\0\0" + b"blau-gr\xc3\xbcn" * 2


def test_a_raw_body_is_one_string(server: Served) -> None:
    status, headers, body = server.ask("/v2/models/colours/infer", b"green", Inference_Header_Content_Length="0")
    rest = body[int(headers["inference-header-content-length"]) :]
    assert (status, rest[12:]) == (200, b"\x0a\0\0\0greengreen")


def test_rows_of_strings_share_a_call_only_where_each_is_answered_as_alone() -> None:
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])
    mean = [ENCODE, helper.make_node("ReduceMean", ["code", "rows"], ["m"], keepdims=1)]
    mixed = source_of("mixed.onnx", [*mean, helper.make_node("Sub", ["code", "m"], ["y"])], [y])
    apart = source_of("apart.onnx", [ENCODE, helper.make_node("Neg", ["code"], ["y"])], [y])
    for source, largest in ((mixed, 0), (apart, 4)):
        opened = open_engine(source, RuntimeSettings(threads=1), max_batch=4)
        with opened.worker:
            assert opened.tensors.largest == largest
