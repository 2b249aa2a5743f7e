"""Files of other people's making: their inputs are made, their answers are held against their own float64."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from strangers import STRANGERS, make_stranger

from toolkit.api.feeds import read_feeds
from toolkit.cli.app import app
from toolkit.durable import sha256_bytes
from toolkit.errors import CheckFailedError, DataError, ModelError, UsageError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_feeds
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import judge_matrix
from toolkit.parity.recording import read_recording, write_recording
from toolkit.parity.references.feeds import FeedExpectation, FeedsReference, compare_feeds
from toolkit.parity.references.made_feeds import make_feed_sets
from toolkit.parity.subject import Subject, require_providers
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.references.perturbed import PerturbedRuntime
from toolkit.runtimes.references.widened import WidenedRuntime

QUICK = ParityConfig(runtimes=("ort",), threads=(1,), optimisations=("all",))
ANSWERED = [name for name in STRANGERS if name not in {"chance", "foreign domain"}]


def source_of(name: str) -> ModelSource:
    model = STRANGERS[name]().SerializeToString()
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path(f"{name}.onnx"))


def weights_of(name: str) -> dict[str, Any]:
    return {item.name: numpy_helper.to_array(item).astype(np.float64) for item in STRANGERS[name]().graph.initializer}


def spec(name: str, dtype: str, *shape: int | str | None) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def widened(name: str) -> WidenedRuntime:
    return WidenedRuntime(source_of(name), RuntimeSettings(runtime="onnx-widened"))


def expectation(**changes: Any) -> FeedExpectation:
    fields: dict[str, Any] = {
        "name": "normal",
        "feeds": {"x": np.zeros((2, 3), np.float32)},
        "outputs": {"y": np.array([[1.0, -np.inf], [3.0, 4.0]]), "best": np.array([0, 1])},
        "dtypes": {"y": "float32", "best": "int64"},
        "bounds": {"y": 1e-3},
        "undecided": {"best": np.array([False, True]), "y": np.zeros((2, 2), bool)},
    }
    return FeedExpectation(**{**fields, **changes})


RIGHT = {"y": np.array([[1.0, -np.inf], [3.0, 4.0]], np.float32), "best": np.array([0, 1])}


def test_made_inputs_have_the_declared_types_and_batches_and_are_the_same_every_time() -> None:
    inputs = (spec("a", "float32", "n", 3), spec("b", "uint8", "n"), spec("c", "int64", "n", 1), spec("d", "bool", "n"))
    sets = make_feed_sets(inputs, FeedConfig())
    assert [item.name for item in sets] == [
        "normal",
        "uniform",
        "wide",
        "sparse",
        "small",
        "batch 1",
        "batch 3",
        "batch 7",
    ]
    assert [len(item.arrays["a"]) for item in sets] == [2, 2, 2, 2, 2, 1, 3, 7]
    assert {name: str(array.dtype) for name, array in sets[0].arrays.items()} == {
        "a": "float32",
        "b": "uint8",
        "c": "int64",
        "d": "bool",
    }
    assert all(set(np.unique(item.arrays["c"])) <= {0, 1} for item in sets)
    again = make_feed_sets(inputs, FeedConfig())
    assert all(np.array_equal(one.arrays["a"], two.arrays["a"]) for one, two in zip(sets, again, strict=True))


def test_given_inputs_are_used_as_they_are_and_have_to_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.arange(6, dtype=np.float32).reshape(2, 3))
    config = read_feeds(tmp_path / "in.npz", None)
    (only,) = make_feed_sets((spec("x", "float32", "n", 3),), config)
    assert only.name == "given"
    assert only.arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UsageError, match=r"'x' is float32 \[2, 3\]; expected float64"):
        make_feed_sets((spec("x", "float64", "n", 3),), config)
    with pytest.raises(UsageError, match=r"\['x'\]; the file's inputs are \['y'\]"):
        make_feed_sets((spec("y", "float32", "n", 3),), config)
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"bad\.npz"):
        read_feeds(tmp_path / "bad.npz", None)


def test_float64_is_what_numpy_says() -> None:
    weight = weights_of("two inputs")["w"]
    left, right = np.random.default_rng(1).standard_normal((2, 3, 12)).astype(np.float32)
    answer = widened("two inputs").run({"left": left, "right": right[:, :5]})
    expected = np.tanh(left.astype(np.float64) @ weight + right[:, :5])
    assert answer["values"].dtype == np.float64
    assert np.abs(answer["values"] - expected).max() < 1e-14
    assert answer["best"].tolist() == expected.argmax(axis=1).tolist()


def test_a_loop_without_a_condition_runs_in_float64_too() -> None:
    weight, state = weights_of("loop")["w"], np.full((2, 6), 0.3, np.float32)
    answer = widened("loop").run({"x": state})["y"]
    expected = state.astype(np.float64)
    for _ in range(5):
        expected = np.tanh(expected @ weight)
    assert np.abs(answer - expected).max() < 1e-14


def test_a_quantised_file_of_an_older_opset_runs_in_float64() -> None:
    values = np.random.default_rng(2).uniform(-6, 6, (3, 8)).astype(np.float32)
    weights = {item.name: numpy_helper.to_array(item) for item in STRANGERS["quantised"]().graph.initializer}
    steps = np.clip(np.rint(values / np.float64(np.float32(0.05))) + 128, 0, 255) - 128
    expected = steps * np.float64(np.float32(0.05)) @ (weights["w"] * np.float64(np.float32(0.01)))
    assert np.abs(widened("quantised").run({"x": values})["y"] - expected).max() < 1e-12


def test_casts_and_made_tensors_are_widened_too() -> None:
    model = STRANGERS["two inputs"]()
    model.graph.node.extend(
        [
            onnx.helper.make_node("EyeLike", ["values"], ["eye"], dtype=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Cast", ["eye"], ["small"], to=onnx.TensorProto.FLOAT16),
            onnx.helper.make_node("Constant", [], ["tenth"], value_float=0.5),
        ]
    )
    data = model.SerializeToString()
    source = ModelSource(model=data, sha256=sha256_bytes(data), path=Path("m.onnx"))
    runtime = WidenedRuntime(source, RuntimeSettings(runtime="onnx-widened"))
    answer = runtime.run({"left": np.ones((1, 12), np.float32), "right": np.ones((1, 5), np.float32)})
    assert answer["values"].dtype == np.float64


def test_an_evaluator_that_leaves_float64_is_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow:
        def run(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"hidden": np.zeros(3, np.float32), "values": np.zeros((1, 5)), "best": np.zeros(1, np.int64)}

    runtime = widened("two inputs")
    monkeypatch.setattr(runtime, "_evaluator", Narrow())
    with pytest.raises(ModelError, match="'hidden' in float32"):
        runtime.run({"left": np.ones((1, 12), np.float32), "right": np.ones((1, 5), np.float32)})


def test_one_unit_in_the_last_place_moves_an_answer_by_about_as_much() -> None:
    runtime = PerturbedRuntime(source_of("foreign domain"), RuntimeSettings(runtime="ort-jittered"))
    moved = float(runtime.run({"x": np.ones((2, 9), np.float32)})["y"])
    assert 1e-8 < moved < 1e-5


def test_the_right_answers_pass_also_where_they_are_infinite() -> None:
    agreement = compare_feeds(RIGHT, expectation())
    assert agreement
    assert agreement.max_abs_logit_error == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": RIGHT["y"] + np.float32(0.01)}, "differs by 0.01"),
        ({"y": np.where(np.isinf(RIGHT["y"]), np.float32(0), RIGHT["y"])}, r"is 0.0 at \[0, 1\]"),
        ({"y": RIGHT["y"] * np.float32(np.nan)}, "is nan at"),
        ({"y": -RIGHT["y"] * np.where(np.isinf(RIGHT["y"]), 1, -1).astype(np.float32)}, r"is inf at \[0, 1\]"),
        ({"y": RIGHT["y"].astype(np.float64)}, "expected float32"),
        ({"y": RIGHT["y"].T[:1]}, r"\[1, 2\]; expected"),
        ({"best": np.array([1, 1])}, "1 of 2 numbers of 'best'"),
        ({"other": np.zeros(2)}, "'other' is not declared"),
    ],
)
def test_what_is_wrong_is_seen(change: dict[str, Any], words: str) -> None:
    agreement = compare_feeds({**RIGHT, **change}, expectation())
    assert not agreement
    assert re.search(words, "; ".join(agreement.failures))


def test_a_missing_output_is_seen() -> None:
    assert compare_feeds({"y": RIGHT["y"]}, expectation()).failures == ("output 'best' is missing",)


def test_a_whole_number_that_float32_does_not_decide_is_excused() -> None:
    agreement = compare_feeds({**RIGHT, "best": np.array([0, 5])}, expectation())
    assert agreement
    assert (agreement.flips, agreement.flips_excused) == (1, 1)


def test_a_number_that_is_infinite_in_float32_alone_is_excused() -> None:
    over = {"undecided": {"best": np.array([False, True]), "y": np.array([[False, False], [True, False]])}}
    changed = {**RIGHT, "y": np.array([[1.0, -np.inf], [np.inf, 4.0]], np.float32)}
    assert compare_feeds(changed, expectation(**over))
    assert not compare_feeds(changed, expectation())


def test_chance_is_refused() -> None:
    source = source_of("chance")
    with pytest.raises(ModelError, match="chance cannot be compared; the file states: RandomNormalLike without a seed"):
        record_feeds(
            source, Subject(card=None, inputs=(spec("x", "float32", "n", 3),), precision="fp32"), feeds=FeedConfig()
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERED)
def test_every_stranger_passes_in_the_engines_that_have_its_operators(name: str) -> None:
    source, config = source_of(name), ParityConfig(runtimes=("ort", "openvino"), threads=(1,))
    feeds = FeedConfig()
    subject = require_providers(source, config, feeds=feeds)
    recording = record_feeds(source, subject, feeds=feeds)
    assert recording.reference.kind == "onnx-float64"
    report = judge_matrix(source, recording, config=config, precision=subject.precision)
    # OpenVINO knows no local functions, and computes doubles in float32.
    others = {"own function": "refused", "double and bytes": "fail"}
    expected = {("openvino", others.get(name, "pass")), ("ort", "pass")}
    assert {(row.runtime, row.status) for row in report.rows} == expected


def test_a_stranger_goes_through_parity_and_its_recording_judges_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    path = make_stranger(tmp_path / "m.onnx", "foreign domain")
    words = ["parity", str(path), "--runtime", "ort", "--threads", "1", "--optimisation", "all", "--json"]
    with pytest.raises(UsageError, match=r"--budget is 0; expected"):
        app(args=[*words, "--budget", "0"], standalone_mode=False)
    assert not capsys.readouterr().err, "a refusal is one line: nothing is told before it"
    app(args=[*words, "--record", str(tmp_path / "proof")], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert report["reference"] == "ort-unoptimised"
    assert "one unit in the last place" in report["bound_rule"]
    assert report["rows"][0]["batch_sizes"] == [2, 1, 3, 7]
    recording = read_recording(tmp_path / "proof", ModelSource.read(path))
    assert isinstance(recording.reference, FeedsReference)
    wrong = recording.reference.suites[0].outputs["y"]
    wrong += 1.0  # as another machine might have answered
    write_recording(tmp_path / "other", recording)
    with pytest.raises(CheckFailedError, match="'y' differs by 1"):
        app(args=[*words, "--against", str(tmp_path / "other")], standalone_mode=False)


def test_a_stranger_tests_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    path = make_stranger(tmp_path / "m.onnx", "two inputs")
    app(args=["selftest", str(path), "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert report["vectors"] == 8
    assert 0 < report["max_abs_logit_error"] < report["tolerance"] < 1e-5
    with pytest.raises(UsageError, match="runs on one provider, not all"):
        app(args=["selftest", str(path), "--provider", "all"], standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--data", "mnist-mini"], "mean nothing to it"), (["--sample", "5"], "mean nothing to it")],
)
def test_images_mean_nothing_to_a_stranger(words: list[str], message: str, tmp_path: Path) -> None:
    path = make_stranger(tmp_path / "m.onnx", "two inputs")
    with pytest.raises(UsageError, match=message):
        app(args=["parity", str(path), *words], standalone_mode=False)


def test_made_inputs_mean_nothing_to_a_model_of_ours(model_path: Path) -> None:
    with pytest.raises(UsageError, match="carries a card"):
        app(args=["parity", str(model_path), "--shape", "images=2,28,28"], standalone_mode=False)
    with pytest.raises(UsageError, match="carries a card"):
        app(args=["selftest", str(model_path), "--shape", "images=2,28,28"], standalone_mode=False)
