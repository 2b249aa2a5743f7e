"""Float32 graphs made float16, and the files derived from a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters import ExportError, convert_to_half
from toolkit.cli.app import app
from toolkit.errors import UsageError
from toolkit.exporting.config import ExportConfig
from toolkit.runtimes.references.onnx_float64 import evaluate_with_rounding
from toolkit.runtimes.references.rounding import UNIT_ROUNDOFF, bound_from_sigma


def small_graph(*, weight: float = 0.5) -> onnx.ModelProto:
    """Return pixels / scale -> Gemm / scale -> Relu -> Gemm -> logits -> ArgMax."""
    random = np.random.default_rng(0)
    arrays = {
        "scale": np.full((4, 4), 100.0),
        "first": random.normal(0, weight, (4, 4)),
        "second": random.normal(0, weight, (4, 3)),
        "bias": random.normal(0, 1, 3),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "first"], ["hidden"]),
        helper.make_node("Div", ["hidden", "scale"], ["small"]),
        helper.make_node("Relu", ["small"], ["active"]),
        helper.make_node("Gemm", ["active", "second", "bias"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [4, 4])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4, 3]),
            helper.make_tensor_value_info("label", TensorProto.INT64, [4]),
        ],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits, label = session.run(["logits", "label"], {"images": images})
    return logits, label


def test_only_what_is_heavy_becomes_half() -> None:
    model = small_graph()
    before = model.SerializeToString()
    half = convert_to_half(model)
    assert model.SerializeToString() == before
    onnx.checker.check_model(half, full_check=True)
    kinds = {item.name: item.data_type for item in half.graph.initializer}
    assert kinds == {
        "scale": TensorProto.FLOAT,  # still read by the standardisation
        "scale.half": TensorProto.FLOAT16,
        "first.half": TensorProto.FLOAT16,
        "second.half": TensorProto.FLOAT16,
        "bias.half": TensorProto.FLOAT16,
    }
    operators = [node.op_type for node in half.graph.node]
    assert operators == ["Cast", "Div", "Cast", "Gemm", "Div", "Relu", "Gemm", "Cast", "ArgMax"]
    assert half.graph.output == model.graph.output


def test_its_answers_differ_by_no_more_than_half_rounding_explains() -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 4), np.uint8)
    model = small_graph()
    half = convert_to_half(model)
    exact, _ = evaluate_with_rounding(model, images, roundoff=UNIT_ROUNDOFF["fp32"])
    sigma = evaluate_with_rounding(half, images, roundoff=UNIT_ROUNDOFF["fp16"])[1]
    logits, label = run(half, images)
    error = np.abs(logits - exact).max()
    assert logits.dtype == np.float32
    # It differs at all, by more than float32 would, and stays inside.
    assert bound_from_sigma(evaluate_with_rounding(model, images, roundoff=UNIT_ROUNDOFF["fp32"])[1]) < error
    assert error <= bound_from_sigma(sigma)
    np.testing.assert_array_equal(label, logits.argmax(axis=1))


def test_a_weight_that_float16_cannot_hold_is_named() -> None:
    with pytest.raises(ExportError, match=r"the weight '(first|second)' reaches .*; float16 ends at 65504"):
        convert_to_half(small_graph(weight=1e5))


def test_a_cast_to_half_rounds_and_a_cast_back_does_not() -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 4), np.uint8)
    half = convert_to_half(small_graph())
    with_cast = evaluate_with_rounding(half, images, roundoff=UNIT_ROUNDOFF["fp16"])[1]
    for node in half.graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16:
            node.attribute[0].i = TensorProto.FLOAT
    assert (evaluate_with_rounding(half, images, roundoff=UNIT_ROUNDOFF["fp16"])[1] < with_cast).all()


@pytest.mark.slow
def test_a_derived_file_has_its_own_card_and_passes_its_own_parity(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / trained_run.name).symlink_to(trained_run)
    command = ["export", trained_run.name, "--precision", "fp32,fp16", "--json"]
    app(args=command, standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    (derived,) = report["derived"]
    path = Path(derived["model"]["path"])
    assert path.name == f"{Path(report['model']['path']).stem}.fp16.onnx"
    card = json.loads(Path(derived["card"]).read_text())
    saved_bytes = report["model"]["size_bytes"] - derived["model"]["size_bytes"]
    assert saved_bytes == pytest.approx(2 * card["network"]["parameters"], rel=0.05)
    assert card["precision"] == "fp16"
    assert card["derived_from_sha256"] == report["model"]["sha256"]
    assert card["bound"]["logits"] > 1000 * report["bound"]["logits"]
    assert card["golden"]["tolerance"] == card["bound"]["logits"]
    assert json.loads((tmp_path / "latest.json").read_text())["model"].endswith(Path(report["model"]["path"]).name)
    app(args=["selftest", str(path), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["passed"]
    narrow = ["--threads", "1", "--optimisation", "all", "--sample", "64"]
    app(args=["parity", str(path), *narrow, "--json"], standalone_mode=False)
    rows = {row["runtime"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {"torch": "skip", "ort": "pass"}
    assert {row["precision"] for row in rows.values()} == {"fp16"}
    app(args=command, standalone_mode=False)
    again = json.loads(capsys.readouterr().out)
    assert [again["unchanged"], again["derived"][0]["unchanged"]] == [True, True]


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown precision 'fp61' \(did you mean 'fp16'\?\)"):
        ExportConfig(precisions=("fp61",))
