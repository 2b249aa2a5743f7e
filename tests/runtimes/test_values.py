"""Answers that are no tensors of NumPy's numbers: strings, sequences, maps, optionals and small floats."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.cli.app import app
from toolkit.durable import sha256_bytes
from toolkit.onnx_file.element_types import SMALL_BITS, find_dtype, type_name
from toolkit.onnx_file.graph_parts import declared_spec
from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.parity.recording import Recording, read_recording, write_recording
from toolkit.parity.references.feeds import FeedsReference, compare_feeds
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.parity.report import ParityRow
from toolkit.parity.rows import settle_row
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime
from toolkit.runtimes.references.perturbed import PerturbedRuntime
from toolkit.runtimes.references.widened import WidenedRuntime
from toolkit.runtimes.timing.loop import measure
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.values import Unreadable, flatten_values
from toolkit.runtimes.workers.frames import read_frame, write_frame

FLOAT, STRING = TensorProto.FLOAT, TensorProto.STRING
NAMES = ["cat", "dog", "élan"]
WEIGHT = np.random.default_rng(4).standard_normal((5, 3)).astype(np.float32)
X = np.random.default_rng(5).standard_normal((4, 5)).astype(np.float32)
FLOATS = helper.make_tensor_type_proto(FLOAT, None)
EVALUATED: list[type[Runtime]] = [OrtRuntime, OnnxEvaluatorRuntime, WidenedRuntime]


def source_of(
    nodes: list[onnx.NodeProto],
    outputs: list[tuple[str, Any]],
    weights: dict[str, Any] | None = None,
    *,
    opsets: dict[str, int] | None = None,
    fed: int = FLOAT,
) -> ModelSource:
    """A file of one input `x`; an output's type is that of a tensor's elements, or a whole one."""
    values = [
        helper.make_tensor_value_info(name, kind, None) if isinstance(kind, int) else helper.make_value_info(name, kind)
        for name, kind in outputs
    ]
    tensors = [
        item if isinstance(item, onnx.TensorProto) else numpy_helper.from_array(item, name)
        for name, item in (weights or {}).items()
    ]
    inputs = [helper.make_tensor_value_info("x", fed, ["n", 5] if fed != STRING else ["n"])]
    model = helper.make_model(
        helper.make_graph(nodes, "values", inputs, values, tensors),
        opset_imports=[helper.make_opsetid(*item) for item in (opsets or {"": 21}).items()],
        ir_version=10,
    )
    content = model.SerializeToString()
    return ModelSource(model=content, sha256=sha256_bytes(content), path=Path("m.onnx"))


def classifier() -> ModelSource:
    """What scikit-learn's converter writes: a label and a sequence of maps, and no opset of ONNX's own operators."""
    floats = helper.make_tensor_type_proto(FLOAT, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(STRING, floats))
    linear = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        classlabels_strings=NAMES,
        coefficients=WEIGHT.T.ravel().tolist(),
        intercepts=[0.1, 0.2, 0.3],
        multi_class=1,
        post_transform="SOFTMAX",
    )
    zipped = helper.make_node("ZipMap", ["scores"], ["probs"], domain="ai.onnx.ml", classlabels_strings=NAMES)
    return source_of([linear, zipped], [("label", STRING), ("probs", maps)], opsets={"ai.onnx.ml": 1})


def cast_to(kind: int, *, weights: dict[str, Any] | None = None) -> ModelSource:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Cast", ["m"], ["y"], to=kind)]
    return source_of(nodes, [("y", kind)], {"w": WEIGHT, **(weights or {})})


def opened(runtime: type[Runtime], source: ModelSource) -> Runtime:
    return runtime(source, RuntimeSettings(runtime=runtime.name))


def answer_of(runtime: type[Runtime], source: ModelSource, x: Any = X) -> dict[str, Any]:
    return opened(runtime, source).run({"x": x})


def expected_scores() -> Any:
    raised = np.exp(X.astype(np.float64) @ WEIGHT + [0.1, 0.2, 0.3])
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize("runtime", EVALUATED)
def test_a_sequence_of_maps_is_its_keys_and_one_array_of_values(runtime: type[Runtime]) -> None:
    answer = answer_of(runtime, classifier())
    assert sorted(answer) == ["label", "probs[keys]", "probs[values]"]
    assert answer["probs[keys]"].tolist() == NAMES
    assert np.abs(answer["probs[values]"] - expected_scores()).max() < 1e-6
    # Python's floats, which ONNX Runtime hands out, are no arithmetic of the file.
    assert answer["probs[values]"].dtype == (np.float64 if runtime is WidenedRuntime else np.float32)
    assert answer["label"].tolist() == [NAMES[place] for place in expected_scores().argmax(1)]


@pytest.mark.parametrize("runtime", EVALUATED)
def test_a_sequence_of_tensors_is_its_shapes_and_all_elements(runtime: type[Runtime]) -> None:
    split = helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=0)
    parts = [("parts", helper.make_sequence_type_proto(FLOATS))]
    answer = answer_of(runtime, source_of([split], parts, {"sizes": np.array([1, 3])}))
    assert answer["parts[shapes]"].tolist() == [[1, 5], [3, 5]]
    assert answer["parts[values]"].tolist() == X.ravel().tolist()
    empty = source_of([helper.make_node("SequenceEmpty", [], ["parts"], dtype=FLOAT)], parts)
    assert [array.size for array in answer_of(runtime, empty).values()] == [0, 0]


@pytest.mark.parametrize("runtime", EVALUATED)
def test_an_optional_is_what_it_holds_or_said_to_be_absent(runtime: type[Runtime]) -> None:
    optional = [("o", helper.make_optional_type_proto(FLOATS))]
    held = source_of([helper.make_node("Optional", ["x"], ["o"])], optional)
    assert np.array_equal(answer_of(runtime, held)["o"], X)
    absent = source_of([helper.make_node("Optional", [], ["o"], type=FLOATS)], optional)
    assert answer_of(runtime, absent) == {"o[absent]": np.array(True)}


def test_what_has_no_form_as_arrays_is_left_out_with_its_reason() -> None:
    values = {
        "maps": [{"a": 1.0}, {"b": 1.0}],
        "uneven": [{"a": np.zeros(2)}, {"a": np.zeros(3)}],
        "complex": np.zeros(2, np.complex64),
        "objects": np.array([1, "a", None], object),
        "opaque": object(),
        "kept": [np.zeros(3), np.zeros((1, 1))],
        "unread": Unreadable("nobody hands it out"),
    }
    arrays, left_out = flatten_values(values, {})
    assert sorted(left_out) == ["complex", "maps", "objects", "opaque", "uneven", "unread"]
    assert "other keys" in left_out["maps"]
    assert "complex64" in left_out["complex"]
    assert left_out["unread"] == "nobody hands it out"
    assert arrays["kept[shapes]"].tolist() == [[3, -1], [1, 1]]
    assert flatten_values({"y": {5: 0.5, 3: 1.0}}, {}).arrays["y[keys]"].tolist() == [3, 5]


@pytest.mark.parametrize("name", list(SMALL_BITS))
def test_small_numbers_and_strings_travel_between_processes(name: str) -> None:
    sent = {"small": np.ones((2, 1)).astype(find_dtype(name)), "words": np.array([["a"], ["élan"]])}
    sent["none"] = sent["words"][:0]
    stream = io.BytesIO()
    write_frame(stream, {}, arrays=sent)
    stream.seek(0)
    frame = read_frame(stream)
    assert frame is not None
    for key, array in sent.items():
        assert (frame[1][key].dtype, frame[1][key].shape) == (array.dtype, array.shape)
        assert np.array_equal(frame[1][key], array)


KINDS = {
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.FLOAT8E4M3FN: "float8_e4m3fn",
    TensorProto.FLOAT8E5M2: "float8_e5m2",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
}


@pytest.mark.parametrize("number", list(KINDS))
def test_onnx_runtimes_small_numbers_are_those_of_the_evaluator(number: int) -> None:
    source = source_of([helper.make_node("Cast", ["x"], ["y"], to=number)], [("y", number)])
    x = np.array([[0, 1, -3, 7, 3], [2, 1, 5, 6, -1]], np.float32)
    x = np.abs(x) if number == TensorProto.UINT4 else x
    seen, right = (answer_of(runtime, source, x)["y"] for runtime in (OrtRuntime, OnnxEvaluatorRuntime))
    assert type_name(seen.dtype) == KINDS[number]
    assert seen.shape == (2, 5)
    assert seen.astype(np.float64).tolist() == right.astype(np.float64).tolist()
    assert declared_spec(onnx.ModelProto.FromString(source.model).graph.output[0]).dtype == KINDS[number]


def test_a_file_of_small_inputs_is_run_and_timed() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)]
    runtime = opened(OrtRuntime, source_of(nodes, [("y", FLOAT)], fed=TensorProto.BFLOAT16))
    x = X.astype(ml_dtypes.bfloat16)
    assert np.array_equal(runtime.run({"x": x})["y"], x.astype(np.float32))
    window = measure(runtime, {"x": x}, plan=MeasurePlan(warmup_calls=1, warmup_s=0, min_calls=3, min_s=0, max_s=1))
    assert len(window.samples_ns) >= 3


def test_a_file_without_onnxs_own_operators_needs_no_opset_of_them() -> None:
    assert vet_model(classifier().model, name="m.onnx", allow_foreign=True)["opset"] is None


def reference_of(source: ModelSource, x: Any = X) -> FeedsReference:
    return compute_feeds_reference(source, (FeedSet("normal", {"x": x}), FeedSet("again", {"x": x[:2]})))


def test_labels_are_compared_by_equality_and_maps_within_what_rounding_explains(tmp_path: Path) -> None:
    source = classifier()
    reference = reference_of(source)
    assert (reference.kind, reference.open_question) == ("onnx-float64", "")
    expected = reference.suites[0]
    assert expected.dtypes == {"label": "string", "probs[keys]": "string", "probs[values]": "float32"}
    assert set(expected.bounds) == {"probs[values]"}
    right = answer_of(OrtRuntime, source)
    assert compare_feeds(right, expected)
    other = np.array(["dog" if name == "cat" else "cat" for name in right["label"]])
    assert compare_feeds({**right, "label": other}, expected).failures == (
        "4 of 4 strings of 'label' differ from the reference",
    )
    assert (
        "rounding explains"
        in compare_feeds({**right, "probs[values]": right["probs[values]"] * 1.01}, expected).failures[0]
    )
    assert "'label' is int64 [4]" in compare_feeds({**right, "label": np.arange(4)}, expected).failures[0]
    assert "'probs[keys]' is missing" in compare_feeds({"label": right["label"]}, expected).failures[0]
    recording = Recording(reference=reference, model_sha256=source.sha256, data={})
    write_recording(tmp_path / "proof", recording)
    again = read_recording(tmp_path / "proof", source).reference
    assert isinstance(again, FeedsReference)
    assert compare_feeds(right, again.suites[0])
    assert not compare_feeds({**right, "label": other}, again.suites[0])


@pytest.mark.parametrize(("number", "fault"), [(TensorProto.BFLOAT16, 1.2), (TensorProto.FLOAT8E4M3FN, 1.13)])
def test_small_floats_are_compared(number: int, fault: float) -> None:
    source = cast_to(number)
    reference = reference_of(source)
    assert (reference.kind, reference.open_question) == ("onnx-float64", "")
    (expected, _), right = reference.suites, answer_of(OrtRuntime, source)
    assert expected.dtypes == {"y": KINDS[number]}
    assert compare_feeds(right, expected)
    assert not expected.reach
    wrong = (right["y"].astype(np.float32) * fault).astype(right["y"].dtype)
    assert not compare_feeds({"y": wrong}, expected)


def test_the_jitter_moves_what_is_no_tensor_too() -> None:
    moved = answer_of(PerturbedRuntime, classifier())
    assert 0 < moved["probs[values]"] < 1e-5
    assert moved["label"] == 0


def test_where_nothing_can_be_compared_nothing_passes() -> None:
    reference = reference_of(classifier())
    empty = tuple(replace(entry, outputs={}, bounds={}, undecided={}, dtypes={}) for entry in reference.suites)
    bare = replace(reference, suites=empty, left_out=("output 'y' is not compared: it is opaque",))
    assert bare.open_question == "no output can be compared: output 'y' is not compared: it is opaque"
    row = ParityRow(runtime="ort", provider="cpu", precision="fp32", threads=1, optimisation="all", status="pass")
    assert settle_row(row, bare).status == "undecided"


@pytest.mark.slow
def test_a_scikit_learn_file_goes_through_every_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    path = tmp_path / "m.onnx"
    path.write_bytes(classifier().model)
    words = [["inspect"], ["selftest"], ["bench", "--batch", "2", "--seconds", "0.01"]]
    for verb, *options in [*words, ["parity", "--runtime", "ort", "--threads", "1", "--optimisation", "all"]]:
        app(args=[verb, str(path), *options, "--json"], standalone_mode=False)
        report = json.loads(capsys.readouterr().out)
        assert report.get("passed", True), verb


@pytest.mark.slow
def test_strings_that_were_given_are_judged_again_by_their_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    names = {"keys_strings": NAMES, "values_strings": ["Katze", "Hund", "Elan"], "default_string": "?"}
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **names)
    (tmp_path / "m.onnx").write_bytes(source_of([node], [("y", STRING)], opsets={"ai.onnx.ml": 2}, fed=STRING).model)
    np.savez(tmp_path / "in.npz", x=np.array(["cat", "élan", "fish"]))
    words = ["parity", str(tmp_path / "m.onnx"), "--runtime", "ort", "--threads", "1", "--json"]
    given = ["--inputs", str(tmp_path / "in.npz"), "--record", str(tmp_path / "proof")]
    for options in (given, ["--against", str(tmp_path / "proof")]):
        app(args=[*words, *options], standalone_mode=False)
        assert json.loads(capsys.readouterr().out)["passed"]
