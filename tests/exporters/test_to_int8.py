"""Float32 graphs made int8, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters import ExportError, Int8Setting, quantise_apart, to_int8
from exporters.to_int8 import move_relu_first
from toolkit.errors import ModelError
from toolkit.runtimes.references.onnx_float64 import evaluate_with_rounding
from toolkit.runtimes.references.rounding import bound_from_errors

ROUNDOFF = 2.0**-24


def small_graph(**changes: Any) -> onnx.ModelProto:
    """Return pixels / scale -> Conv -> MaxPool -> Relu -> Conv -> Relu -> Gemm -> logits -> ArgMax."""
    random = np.random.default_rng(0)
    arrays = {
        "scale": np.full((), 64.0),
        "axes": np.array([1], np.int64),
        "first": random.normal(0, 0.5, (3, 1, 3, 3)),
        "first_bias": random.normal(0, 0.2, 3),
        "second": random.normal(0, 0.3, (4, 3, 2, 2)),
        "dense": random.normal(0, 0.3, (16, 3)),
        "bias": random.normal(0, 0.2, 3),
        "shape": np.array([-1, 16], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["scaled"], "div"),
        helper.make_node("Unsqueeze", ["scaled", "axes"], ["maps"], "unsqueeze"),
        helper.make_node("Conv", ["maps", "first", "first_bias"], ["conv"], "conv1"),
        helper.make_node("MaxPool", ["conv"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Relu", ["pooled"], ["active"], "relu1"),
        helper.make_node("Conv", ["active", "second"], ["conv_again"], "conv2"),
        helper.make_node("Relu", ["conv_again"], ["active_again"], "relu2"),
        helper.make_node("Reshape", ["active_again", "shape"], ["features"], "reshape"),
        helper.make_node("Gemm", ["features", "dense", "bias"], ["logits"], "gemm"),
        helper.make_node("ArgMax", ["logits"], ["label"], "argmax", axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        changes.get("nodes", nodes),
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        ],
        [
            numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name)
            for name, array in arrays.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def images_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8)


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits: np.ndarray = session.run(["logits"], {"images": images})[0]
    return logits


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> tuple[onnx.ModelProto, str]:
    """The small graph with everything from the first product to the one before the last in int8, and what was said."""
    log = tmp_path_factory.mktemp("log") / "export.log"
    return quantise_apart(small_graph(), images_of(64), setting=Int8Setting(), log=log), log.read_text()


def test_relu_moves_in_front_of_pooling_without_changing_a_value() -> None:
    model = small_graph()
    before = model.SerializeToString()
    moved = move_relu_first(model)
    assert model.SerializeToString() == before
    assert [(node.op_type, node.name) for node in moved.graph.node][4:6] == [("Relu", "relu1"), ("MaxPool", "pool")]
    np.testing.assert_array_equal(run(moved, images_of(20)), run(model, images_of(20)))


def test_a_pooling_that_somebody_else_reads_stays() -> None:
    nodes = [*small_graph().graph.node, helper.make_node("Identity", ["pooled"], ["copy"], "identity")]
    moved = move_relu_first(small_graph(nodes=nodes))
    assert [node.op_type for node in moved.graph.node][4:6] == ["MaxPool", "Relu"]


def test_the_graph_has_int8_weights_for_each_channel_and_only_onnx_s_own_operators(
    quantised: tuple[onnx.ModelProto, str],
) -> None:
    model = quantised[0]
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} == {""}
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    assert {arrays[name].dtype for name in ("first_quantized", "second_quantized")} == {np.dtype(np.int8)}
    assert {name: arrays[f"{name}_scale"].size for name in ("first", "second")} == {"first": 3, "second": 4}
    # The logits' own layer and every bias stay as they were.
    assert {arrays[name].dtype for name in ("dense", "bias", "first_bias")} == {np.dtype(np.float32)}
    assert model.graph.output == small_graph().graph.output
    assert [node.op_type for node in model.graph.node if node.name in {"div", "argmax"}] == ["Div", "ArgMax"]


def test_what_the_quantiser_says_is_in_the_log(
    quantised: tuple[onnx.ModelProto, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert "pre-processing before quantization" in quantised[1]


def test_exact_arithmetic_of_a_quantised_graph_is_the_engines(quantised: tuple[onnx.ModelProto, str]) -> None:
    """What float64 says of the quantised graph is what ONNX Runtime computes, but for a step here and there."""
    model, images = quantised[0], images_of(300, seed=1)
    exact = evaluate_with_rounding(model, images, roundoff=ROUNDOFF)[0]
    exact_float = evaluate_with_rounding(small_graph(), images, roundoff=ROUNDOFF)[0]
    quantiser = np.abs(exact - exact_float)
    engine = np.abs(run(model, images) - exact)
    assert quantiser.max() > 0.005  # it differs from float32 at all
    assert np.median(engine) < 0.01 * quantiser.max()
    assert engine.max() <= bound_from_errors(quantiser)


def test_values_beyond_the_calibrated_range_are_cut_off_in_exact_arithmetic_too() -> None:
    from toolkit.runtimes.references.rounded_operators import OPERATORS, Node
    from toolkit.runtimes.references.rounding import Rounded

    def exact(*values: float) -> Rounded:
        return Rounded(np.array(values), np.zeros(len(values)))

    scale, zero = exact(0.5), exact(10.0)
    node = Node({}, ROUNDOFF, (0.0, 255.0))
    whole = OPERATORS["QuantizeLinear"]([exact(-9.0, 0.0, 0.25, 0.75, 500.0), scale, zero], node)
    assert whole.value.tolist() == [0, 10, 10, 12, 255]  # halves go to the even number
    assert OPERATORS["DequantizeLinear"]([whole, scale, zero], node).value.tolist() == [-5, 0, 0, 1, 122.5]


def test_a_bound_is_twice_the_largest_error_rounded_up() -> None:
    assert bound_from_errors(np.array([-0.12341, 0.01])) == 0.247
    for errors in (np.zeros(3), np.array([np.nan])):
        with pytest.raises(ModelError, match="largest error"):
            bound_from_errors(errors)


def test_a_graph_that_cannot_be_quantised_is_refused_in_one_line_with_the_rest_in_the_log(tmp_path: Path) -> None:
    nodes = [node for node in small_graph().graph.node if node.op_type != "Gemm"]
    with pytest.raises(ExportError) as caught:
        quantise_apart(small_graph(nodes=nodes), images_of(16), setting=Int8Setting(), log=tmp_path / "log")
    assert "\n" not in str(caught.value)
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_quantiser_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"hung for 0\.05 s and was ended"):
        quantise_apart(small_graph(), images_of(16), setting=Int8Setting(), log=tmp_path / "log", timeout_s=0.05)


def test_a_quantiser_that_cannot_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_int8.sys, "executable", "/no/such/python")
    with pytest.raises(ExportError, match="cannot start with /no/such/python: No such file"):
        quantise_apart(small_graph(), images_of(16), setting=Int8Setting(), log=tmp_path / "log")


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="this system has no alarm clock")
def test_a_quantiser_that_nobody_waits_for_ends_by_itself(tmp_path: Path) -> None:
    program = "import json, time; json.loads = lambda _: time.sleep(600)\nfrom exporters.to_int8 import main; main()"
    (tmp_path / "setting.json").write_text("{}")
    done = subprocess.run([sys.executable, "-P", "-c", program, "0.1"], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == -signal.SIGALRM


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Int8Setting(),
        Int8Setting(percentile=99.9),
        Int8Setting(reduce_range=True),
    ],
)
def test_every_setting_gives_the_same_file_twice_and_stays_near_float32(setting: Int8Setting) -> None:
    images = images_of(50)
    first, second = (quantise_apart(small_graph(), images, setting=setting) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    exact = evaluate_with_rounding(small_graph(), images, roundoff=ROUNDOFF)[0]
    error = np.abs(run(first, images) - exact).max()
    assert 0 < error < 0.1 * np.abs(exact).max()
