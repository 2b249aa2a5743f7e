"""Engines called as a careful user calls them: what an adapter leaves out is not the engine's fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from one_node import made, node_file, run_model
from onnx import TensorProto, helper, numpy_helper

from toolkit.cli.app import app
from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime
from toolkit.runtimes.workers.client import WorkerRuntime

Sizes = list[int | str | None] | None


def source_of(
    nodes: list[onnx.NodeProto], inputs: dict[str, Sizes], output: Sizes, weights: dict[str, NDArray[Any]] | None = None
) -> ModelSource:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in inputs.items()]
    graph = helper.make_graph(
        nodes,
        "adapted",
        values,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content = model.SerializeToString()
    return ModelSource(model=content, sha256=sha256_bytes(content), path=Path("m.onnx"))


def relu(*inputs: str, sizes: Sizes) -> ModelSource:
    return source_of([helper.make_node("Relu", ["x"], ["y"])], dict.fromkeys(inputs, sizes), sizes)


@pytest.mark.parametrize("runtime", ["ort", "openvino", "tract", "onnx"])
def test_an_input_that_no_node_reads_stops_no_engine(runtime: str) -> None:
    x = made(2, 3)
    with WorkerRuntime(relu("spare", "x", sizes=["n", 3]), RuntimeSettings(runtime=runtime)) as worker:
        assert np.array_equal(worker.run({"spare": x - 9, "x": x})["y"], np.maximum(x, 0))
        with pytest.raises(ModelError, match="expected"):
            worker.run({"x": x})  # of all engines the same is asked
        expected = ["OpenVINO has dropped the inputs that no node reads, and is not fed them: spare"]
        assert list(worker.notes) == (expected if runtime == "openvino" else [])


def test_tract_is_told_the_sizes_that_it_is_fed_where_a_file_leaves_them_open() -> None:
    # It cannot count the numbers of an axis that joins two open ones.
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["twice"], axis=1),
        helper.make_node("Flatten", ["twice"], ["y"]),
    ]
    source = source_of(nodes, {"x": ["n", "length", 3]}, ["n", "all"])
    with WorkerRuntime(source, RuntimeSettings(runtime="tract")) as worker:
        for sizes in ((2, 4, 3), (1, 5, 3), (2, 4, 3)):
            x = made(*sizes)
            assert np.array_equal(worker.run({"x": x})["y"], np.concatenate([x, x], 1).reshape(sizes[0], -1))


def test_tract_is_told_the_sizes_that_it_is_fed_where_a_file_names_no_rank() -> None:
    x = made(2, 3)
    with WorkerRuntime(relu("x", sizes=None), RuntimeSettings(runtime="tract")) as worker:
        assert np.array_equal(worker.run({"x": x})["y"], np.maximum(x, 0))


def test_what_tract_does_not_have_is_told_with_its_name_whether_sizes_are_open_or_not() -> None:
    for sizes in ([2, 3], ["n", 3], None):
        source = source_of([helper.make_node("Nothing", ["x"], ["y"])], {"x": sizes}, sizes)
        with (
            pytest.raises(ModelError, match=r"tract refuses the model: .*Nothing"),
            WorkerRuntime(source, RuntimeSettings(runtime="tract")) as worker,
        ):
            worker.run({"x": made(2, 3)})


def test_the_evaluator_as_an_engine_has_the_operators_that_the_reference_has() -> None:
    x = made(2, 3, 4)
    model = node_file("Softmax", [x], opset=11)  # ONNX's own takes the last axis only; the standard flattened
    (y,) = run_model(model, [x], OnnxEvaluatorRuntime)
    rows = np.exp(x.reshape(2, 12))
    assert np.abs(y.reshape(2, 12) - rows / rows.sum(1, keepdims=True)).max() < 1e-6


def test_what_an_adapter_passed_over_stands_in_the_rows_and_their_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    path = tmp_path / "m.onnx"
    path.write_bytes(relu("x", "spare", sizes=["n", 3]).model)
    for words in (
        ["parity", "--threads", "1"],
        ["bench", "--batch", "2", "--seconds", "0.01"],
    ):
        app(args=[*words, str(path), "--runtime", "openvino", "--json"], standalone_mode=False)
        told = capsys.readouterr()
        (row,) = json.loads(told.out)["rows"]
        assert (row["status"], len(row["notes"])) == ("pass", 1)
        assert "dropped the inputs that no node reads" in row["notes"][0]
        assert "dropped the inputs" in " ".join(told.err.split())
