"""Sizes that a file declares of its outputs and that do not come, or that are no sizes: taken as ONNX Runtime does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from one_node import made
from onnx import TensorProto, helper, numpy_helper

from toolkit.cli.app import app
from toolkit.durable import sha256_bytes
from toolkit.onnx_file.graph_parts import declared_spec
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.workers.client import WorkerRuntime

Sizes = list[int | str | None]


def reshaped(declared: Sizes, fed: Sizes) -> ModelSource:
    """A file whose output is `[n, 3]`, which nobody knows before it runs."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Shape", ["m"], ["size"]),
        helper.make_node("Abs", ["size"], ["same"]),
        helper.make_node("Reshape", ["m", "same"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sizes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, fed)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, declared)],
        [numpy_helper.from_array(np.eye(5, 3, dtype=np.float32), "w")],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    return ModelSource(model=content, sha256=sha256_bytes(content), path=Path("m.onnx"))


@pytest.mark.parametrize(
    ("runtime", "declared"),
    [
        ("ort", ["n", 3, 1]),
        ("ort", ["n", 4]),
        ("ort", [7]),
        ("onnx-widened", ["n", 4]),
        ("openvino", ["n", 3, 1]),
        ("tract", ["n", 3, 1]),
    ],
)
def test_an_output_of_other_sizes_than_declared_is_taken_with_a_note(runtime: str, declared: Sizes) -> None:
    x = made(2, 5)
    with WorkerRuntime(reshaped(declared, ["n", 5]), RuntimeSettings(runtime=runtime)) as worker:
        for batch in (2, 1):
            assert np.allclose(worker.run({"x": x[:batch]})["y"], x[:batch, :3])
        assert worker.notes == (f"output 'y' comes as [2, 3]; the file declares {declared}",)


@pytest.mark.parametrize("unknown", [0, -1])
def test_a_size_of_0_or_less_is_an_open_one(unknown: int) -> None:
    source = reshaped([unknown, 3], [unknown, 5])
    spec = declared_spec(onnx.ModelProto.FromString(source.model).graph.output[0])
    assert spec.shape == (None, 3)
    assert OrtRuntime(source, RuntimeSettings()).info.inputs[0].shape == (None, 5)
    x = made(3, 5)
    with WorkerRuntime(source, RuntimeSettings()) as worker:
        assert np.allclose(worker.run({"x": x})["y"], x[:, :3])
        taken = ("input 'x' declares a size of 0, which is taken for an open one",)
        assert worker.notes == (taken if unknown == 0 else ())


@pytest.mark.slow
def test_sizes_that_do_not_come_stop_no_verb_and_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    path = tmp_path / "m.onnx"
    path.write_bytes(reshaped(["n", 3, 1], [-1, 5]).model)
    told = "comes as [2, 3]; the file declares ['n', 3, 1]"
    for words in (
        ["parity", "--threads", "1", "--optimisation", "all"],
        ["bench", "--batch", "2", "--seconds", "0.01"],
    ):
        app(args=[*words, str(path), "--runtime", "ort", "--json"], standalone_mode=False)
        (row,) = json.loads(capsys.readouterr().out)["rows"]
        assert (row["status"], [told in words for words in row["notes"]]) == ("pass", [True])
    app(args=["selftest", str(path)], standalone_mode=False)
    assert told in " ".join(capsys.readouterr().out.split())
