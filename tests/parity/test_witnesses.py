"""Who is believed of a stranger's file: witnesses that agree, nodes at which they part, and verdicts that stay open."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from strangers import STRANGERS

from toolkit.card import CARD_KEY
from toolkit.cli.app import app
from toolkit.closing import Closing
from toolkit.errors import CheckFailedError, UsageError, WorkerError
from toolkit.onnx_file.cutting import MADE, LooseNode, expose_tensors, take_apart
from toolkit.onnx_file.source import ModelSource
from toolkit.parity import matrix
from toolkit.parity.config import Budget, ParityConfig, memory_for_reference
from toolkit.parity.recording import Recording, pack_suites, read_recording, unpack_reference, write_recording
from toolkit.parity.references import parted_nodes, second_look, third_engines, witnesses
from toolkit.parity.references.answers import WitnessAnswers, ask_witnesses
from toolkit.parity.references.feeds import FeedsReference, compare_feeds
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.parted_nodes import PartedNode, find_left_open
from toolkit.parity.references.rounding_limits import LIMITS, find_distance
from toolkit.parity.references.third_engines import FLOAT64, ORT, ThirdOpinion, find_ally
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.parity.report import ParityReport, ParityRow
from toolkit.parity.rows import settle_row, summarise_row
from toolkit.parity.trial import Outcome, make_trial
from toolkit.plain import to_plain
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import WorkerRuntime, open_worker

NODE = LooseNode(0, "lrn", "LRN", "", 13, {"size": "5"}, ("y",))
ANY = ModelSource.in_memory(b"", Path("any.onnx"))
Calls = list[Any]


def source_of(name: str) -> ModelSource:
    return ModelSource.in_memory(STRANGERS[name]().SerializeToString(), Path(f"{name}.onnx"))


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FeedsReference]:
    """Return a function that makes the reference of answers given: ONNX Runtime's, float64's, and others' opinions."""

    def make(
        own: Calls,
        exact: Calls | None,
        *,
        nodes: tuple[PartedNode, ...] | None = (),
        opinion: ThirdOpinion | None = None,
        jitter: float = 1e-7,
        precision: str = "fp32",
    ) -> FeedsReference:
        sets = tuple(FeedSet(str(number), {}) for number in range(len(own)))
        answers = WitnessAnswers(
            sets=sets,
            own=[{"y": np.asarray(value)} for value in own],
            exact=None if exact is None else [{"y": np.asarray(value)} for value in exact],
            why_not="" if exact is not None else "it lacks an operator",
        )
        monkeypatch.setattr(witnesses, "ask_witnesses", lambda *_, **__: answers)
        monkeypatch.setattr(witnesses, "ask_jitter", lambda *_, **__: [{"y": jitter} for _ in own])
        monkeypatch.setattr(witnesses, "find_parted_nodes", lambda *_, **__: nodes)
        monkeypatch.setattr(witnesses, "ask_third_engines", lambda *_, **__: opinion or ThirdOpinion())
        return compute_feeds_reference(ANY, sets, precision=precision)

    return make


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def parted(agrees_with: str = "", engine: str = "openvino") -> PartedNode:
    opinion = ThirdOpinion(engine=engine if agrees_with else "", agrees_with=agrees_with)
    return PartedNode(node=NODE, distance=0.042, opinion=opinion)


def row(status: str, **changes: Any) -> ParityRow:
    known: dict[str, Any] = {
        "runtime": "tract",
        "provider": "cpu",
        "precision": "fp32",
        "threads": 0,
        "optimisation": None,
        "suites": {"0": {}},
    }
    return ParityRow(**{**known, "status": status, "reason": "'y' differs", **changes})


def test_two_that_agree_within_rounding_are_believed(say: Callable[..., FeedsReference]) -> None:
    reference = say([floats(1, 2)] * 3, [np.array([1, 2 + 1e-6])] * 3)
    assert reference.kind == "onnx-float64"
    assert reference.witnesses.agree == (FLOAT64, ORT)
    assert reference.suites[0].bound == pytest.approx(16e-6, rel=0.01)
    assert not reference.open_question


def test_a_difference_that_no_rounding_explains_never_becomes_a_bound(say: Callable[..., FeedsReference]) -> None:
    """Both are 4 % apart, and an answer multiplied by 1.04 used to pass by that."""
    reference = say([floats(1, 2)], [np.array([1.04, 2.08])])
    (entry,) = reference.suites
    assert entry.bound <= 1e-3 * 2.08
    assert "at its cap" in reference.open_question
    assert compare_feeds({"y": floats(1.001, 2)}, entry)  # between the cap and what was measured nothing is known
    assert settle_row(row("pass"), reference).status == "undecided"
    assert not compare_feeds({"y": floats(5, 2)}, entry)


@pytest.mark.parametrize("precision", LIMITS)
def test_no_arithmetic_explains_a_wrong_constant(precision: str, say: Callable[..., FeedsReference]) -> None:
    reference = say([floats(1, 2)], [np.array([1.03, 2.06])], precision=precision)
    assert reference.suites[0].bound < 0.04 * 2
    assert reference.open_question


def test_one_calls_error_is_not_given_to_the_others(say: Callable[..., FeedsReference]) -> None:
    exact = [np.array([1, 2 + 1e-7])] * 4 + [np.array([1, 2 + 1e-5])]
    *others, worst = say([floats(1, 2)] * 5, exact).suites
    assert worst.bound == pytest.approx(16e-5, rel=0.1)
    assert {entry.bound for entry in others} == {others[0].bound}
    assert others[0].bound < 2e-6


def test_a_call_that_is_right_by_luck_has_the_others_median(say: Callable[..., FeedsReference]) -> None:
    exact = [np.array([1.0, 2.0]), *[np.array([1, 2 + 1e-5])] * 4]
    assert say([floats(1, 2)] * 5, exact).suites[0].bound == pytest.approx(16e-5, rel=0.1)


def test_of_two_calls_neither_is_given_the_others_error(say: Callable[..., FeedsReference]) -> None:
    reference = say([floats(1, 2)] * 2, [np.array([1, 2 + 1e-7]), np.array([1, 2 + 1e-3])])
    assert reference.suites[0].bound < 2e-6
    assert list(reference.suites[1].reach) == ["y"]
    between = compare_feeds({"y": floats(1, 2.002)}, reference.suites[1])
    assert between
    assert (between.max_abs_logit_error or 0) < between.bound  # what is not decided is told as no error over its bound
    assert not reference.open_question  # half of the calls decide
    assert "at its cap" in reference.remarks[0]


def test_zeros_by_cancellation_are_held_against_the_other_calls(say: Callable[..., FeedsReference]) -> None:
    """A constant image after a normalisation: 0 in float64, noise in float32, and no reason to refuse the file."""
    own = [floats(2, 2), floats(3, 3), floats(3e-5, 3e-5)]
    *others, cancelled = say(own, [np.full(2, 2 + 1e-7), np.full(2, 3.0), np.zeros(2)]).suites
    assert cancelled.bound == pytest.approx(16 * 3e-5, rel=0.01)
    assert not cancelled.reach
    assert max(entry.bound for entry in others) < 1e-5


def test_the_node_that_parts_decides_who_is_believed(say: Callable[..., FeedsReference]) -> None:
    own, exact = [floats(1, 2)], [np.array([1.04, 2.08])]
    by_ort = say(own, exact, nodes=(parted(ORT),))
    assert (by_ort.kind, by_ort.witnesses.against) == ("ort-unoptimised", (FLOAT64,))
    assert by_ort.suites[0].outputs["y"].tolist() == [1, 2]
    assert by_ort.suites[0].bound < 1e-4
    assert "node 'lrn' (LRN, opset 13, size=5) differs by 0.042" in by_ort.witnesses.words
    by_float64 = say(own, exact, nodes=(parted(FLOAT64),))
    assert (by_float64.kind, by_float64.witnesses.agree) == ("onnx-float64", (FLOAT64, "openvino"))
    assert not compare_feeds({"y": floats(1, 2)}, by_float64.suites[0])
    assert compare_feeds({"y": floats(1.04, 2.08)}, by_float64.suites[0])


def test_whole_numbers_of_the_one_that_is_wrong_excuse_nothing(say: Callable[..., FeedsReference]) -> None:
    own, exact = [np.array([1, 2, 3])], [np.array([1, 2, 4])]
    (entry,) = say(own, exact, nodes=(parted(FLOAT64),)).suites
    assert not compare_feeds({"y": np.array([1, 2, 3])}, entry)


@pytest.mark.parametrize("nodes", [(parted(),), (parted(FLOAT64), parted(ORT))])
def test_where_nobody_can_be_believed_nothing_is_decided(
    nodes: tuple[PartedNode, ...], say: Callable[..., FeedsReference]
) -> None:
    reference = say([floats(1, 2)], [np.array([1.04, 2.08])], nodes=nodes)
    assert reference.kind == "undecided"
    assert "toolkit runtimes list" in reference.open_question
    for status in ("pass", "fail"):
        assert settle_row(row(status), reference).status == "undecided"
    assert settle_row(row("refused", suites={}), reference).status == "refused"


@pytest.mark.parametrize(
    ("opinion", "kind"),
    [
        (ThirdOpinion(engine="tract", agrees_with=ORT), "ort-unoptimised"),
        (ThirdOpinion(engine="tract", agrees_with=FLOAT64), "onnx-float64"),
        (ThirdOpinion(against=("tract",)), "undecided"),
        (ThirdOpinion(absent={"tract": "refuses"}), "undecided"),
    ],
)
def test_where_nodes_cannot_be_run_alone_the_whole_file_is_asked(
    opinion: ThirdOpinion, kind: str, say: Callable[..., FeedsReference]
) -> None:
    assert say([floats(1, 2)], [np.array([1.04, 2.08])], nodes=None, opinion=opinion).kind == kind
    # Another number of numbers is no rounding either, whatever the nodes say.
    assert say([floats(1, 2)], [np.array([1.0, 2, 3])], nodes=(), opinion=opinion).kind == kind


def test_without_float64_a_third_engine_is_the_witness(say: Callable[..., FeedsReference]) -> None:
    beside = say([floats(1, 2)], None, opinion=ThirdOpinion(engine="tract", agrees_with=ORT))
    assert (beside.kind, beside.witnesses.is_alone) == ("ort-unoptimised", False)
    assert settle_row(row("fail"), beside).status == "fail"
    alone = say([floats(1, 2)], None, opinion=ThirdOpinion(absent={"tract": "refuses"}))
    assert "held against itself" in alone.witnesses.words
    assert settle_row(row("fail"), alone).status == "undecided"
    assert settle_row(row("fail", runtime="ort"), alone).status == "fail"  # it differs from itself
    assert settle_row(row("pass"), alone).status == "pass"
    against = say([floats(1, 2)], None, opinion=ThirdOpinion(against=("tract",)))
    assert against.kind == "undecided"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ([np.full((2, 2), np.nan, np.float32)], "it holds no finite number"),
        ([floats(np.nan, 1)] * 3, "infinity and NaN elsewhere"),
    ],
)
def test_an_output_of_which_nothing_can_be_compared_is_not_passed(
    own: Calls, words: str, say: Callable[..., FeedsReference]
) -> None:
    exact = [np.where(np.isnan(value), np.nan if value.ndim > 1 else 1.0, value).astype(float) for value in own]
    reference = say(own, exact)
    assert words in reference.open_question
    assert settle_row(row("pass"), reference).status == "undecided"


def test_calls_without_a_finite_number_are_told_as_such_where_some_have_one(say: Callable[..., FeedsReference]) -> None:
    calls = [floats(1.0), floats(np.nan), floats(np.nan)]
    question = say(calls, [item.astype(np.float64) for item in calls]).open_question
    assert question.startswith("output 'y' is decided in 1 of 3 calls only: it holds no finite number in the others")


@pytest.mark.parametrize(
    ("value", "words", "is_open"),
    [
        (floats(), "is empty in every call", True),
        (floats(3, 3), "is 3 everywhere in every call", False),
        (np.zeros(4, np.int64), "is 0 everywhere", True),
        (-floats(0, 0), "is -0 everywhere", True),
        (np.array(["", ""]), "is '' everywhere", True),
    ],
)
def test_outputs_that_tell_little_are_named_and_nothing_alone_is_no_pass(
    value: Any, words: str, *, is_open: bool, say: Callable[..., FeedsReference]
) -> None:
    """An engine that has computed nothing hands out zeros, or nothing."""
    reference = say([value] * 2, [value.astype(np.float64) if value.dtype.kind == "f" else value] * 2)
    assert words in reference.remarks[0]
    assert ("every output is empty or 0" in reference.open_question) == is_open
    told = replace(reference.suites[0], outputs={**reference.suites[0].outputs, "z": np.array([0, 1])})
    silent = replace(reference.suites[1], outputs={**reference.suites[1].outputs, "z": np.array([0, 0])})
    none = {"undecided": {**told.undecided, "z": np.zeros(2, np.bool_)}}
    assert not replace(reference, suites=(replace(told, **none), replace(silent, **none))).open_question


def test_a_distance_is_a_share_of_the_largest_number() -> None:
    assert find_distance(floats(1, 4), np.array([1, 4.04])) == pytest.approx(0.01, rel=0.02)
    assert find_distance(floats(1, np.inf), np.array([1, 1e300])) == 0  # what float32 cannot hold
    assert find_distance(floats(1, np.nan), np.array([1.0, 2])) == np.inf
    assert find_distance(floats(1), np.array([[1.0]])) == np.inf
    assert find_distance(np.array([1, 2], np.int64), np.array([1, 3], np.int64)) == np.inf
    steps = np.arange(8, dtype=np.uint8)
    assert find_distance(steps, steps + (steps == 3).astype(np.uint8)) == 0  # a quantiser's step
    assert find_distance(steps, steps + np.uint8(1)) == np.inf


def test_an_ally_agrees_with_one_only() -> None:
    answers = {FLOAT64: {"y": np.array([1.0])}, ORT: {"y": floats(1.04)}}
    assert find_ally({"y": floats(1.04)}, answers=answers, allowed=1e-3) == ORT
    assert find_ally({"y": floats(7)}, answers=answers, allowed=1e-3) is None
    assert find_ally({"y": floats(1.02)}, answers=answers, allowed=0.1) is None
    assert find_ally({"z": floats(1)}, answers=answers, allowed=1e-3) is None


def test_a_graph_taken_apart_inherits_no_mistake() -> None:
    """Each node is fed with the value given, not with what the node before it makes."""
    import onnxruntime

    values = {
        "left": np.zeros((2, 12), np.float32),
        "right": np.zeros((2, 5), np.float32),
        "wide": np.full((2, 5), 9, np.float32),
        "sum": np.full((2, 5), 0.5, np.float32),
        "values": np.eye(2, 5, dtype=np.float32),
        "best": np.array([0, 1]),
    }
    apart, feeds, nodes = take_apart(source_of("two inputs"), values)
    assert [node.operator for node in nodes] == ["MatMul", "Add", "Tanh", "ArgMax"]
    session = onnxruntime.InferenceSession(apart.model)
    names = [item.name for item in session.get_outputs()]
    made = dict(zip(names, session.run(names, feeds), strict=True))
    assert made["wide" + MADE].max() == 0
    assert made["sum" + MADE].min() == 9
    assert made["values" + MADE].tolist() == pytest.approx(np.tanh(values["sum"]))
    single, feeds, (node,) = take_apart(source_of("two inputs"), values, only=nodes[2])
    assert (node.operator, list(feeds)) == ("Tanh", ["sum"])
    assert not onnx.ModelProto.FromString(single.model).graph.initializer


def test_a_branch_is_given_what_it_reads_of_the_graph_around_it() -> None:
    values = {
        "x": np.ones((1, 4), np.float32),
        "s": np.float32(4),
        "positive": np.array(True),
        "y": np.ones((1, 4), np.float32),
    }
    _, feeds, nodes = take_apart(source_of("branches"), {**values, "s": np.asarray(values["s"])})
    assert set(feeds) == {"x", "s", "positive"}
    assert nodes[-1].attributes == {"then_branch": "a graph of 1 node", "else_branch": "a graph of 1 node"}
    exposed = onnx.ModelProto.FromString(expose_tensors(source_of("branches")).model)
    assert [item.name for item in exposed.graph.output] == ["y", "positive", "s"]


def wrong_evaluator(monkeypatch: pytest.MonkeyPatch, fault: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let every answer of the float64 evaluation pass through a fault."""

    whole = WorkerRuntime.run

    def run(worker: WorkerRuntime, feeds: Any) -> dict[str, Any]:
        outputs = whole(worker, feeds)
        return fault(outputs) if worker.info.runtime == "onnx-widened" else outputs

    monkeypatch.setattr(WorkerRuntime, "run", run)


def test_a_wrong_reference_is_found_out_at_its_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation that is 1 % off at one node: it is named, another engine takes ONNX Runtime's side."""

    def fault(outputs: dict[str, Any]) -> dict[str, Any]:
        wrong = {"c", "r", "p", "y", "c" + MADE}
        return {name: array * 1.01 if name in wrong else array for name, array in outputs.items()}

    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    wrong_evaluator(monkeypatch, fault)
    path = tmp_path / "m.onnx"
    path.write_bytes(source_of("convolution").model)
    words = ["parity", str(path), "--runtime", "ort,tract", "--threads", "1", "--optimisation", "all", "--json"]
    app(args=[*words, "--record", str(tmp_path / "proof")], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["reference"]) == ("pass", "ort-unoptimised")
    told = report["reference_witnesses"]
    (node,) = told["nodes"]
    assert (node["node"], node["operator"], node["opset"]) == ("c", "Conv", 18)
    assert node["attributes"] == {"pads": "[1, 1, 1, 1]"}
    assert (node["agree"], node["against"]) == (["ort-unoptimised", "openvino"], ["onnx-float64"])
    assert node["distance"] == pytest.approx(0.01, rel=0.05)
    kept = read_recording(tmp_path / "proof", ModelSource.read(path)).reference
    assert isinstance(kept, FeedsReference)
    assert to_plain(kept.witnesses) == told
    # A recording of an earlier day says besides why there is no float64 evaluation.
    header, arrays = pack_suites(kept)
    assert unpack_reference({**header, "why_not_float64": ""}, arrays).kind == kept.kind


@pytest.mark.parametrize(
    ("kind", "attributes", "numbers", "words"),
    [
        ("TopK", {"sorted": 0}, [3.0, 9.0, 1.0, 7.0], "leaves the order to the engine"),
        ("TopK", {"sorted": 1}, [3.0, 9.0, 1.0, 7.0], ""),
        ("TopK", {}, [3.0, 9.0, 1.0, 7.0], ""),
        ("Cast", {"to": TensorProto.UINT8}, [3.0, 256.0], "a number becomes that uint8 cannot hold"),
        ("Cast", {"to": TensorProto.UINT8}, [-1.0], "uint8"),
        ("Cast", {"to": TensorProto.INT32}, [float("nan")], "int32"),
        ("Cast", {"to": TensorProto.INT64}, [float("-inf")], "int64"),
        ("Cast", {"to": TensorProto.UINT8}, [255.7, -0.9], ""),
        ("Cast", {"to": TensorProto.FLOAT16}, [1e6], ""),
        ("Floor", {}, [float("nan")], ""),
    ],
)
def test_what_the_standard_leaves_open_is_nobodys_fault(
    kind: str, attributes: dict[str, int], numbers: list[float], words: str
) -> None:
    node = helper.make_node(kind, ["x", "k"] if kind == "TopK" else ["x"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [len(numbers)])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.array([2]), "k")] if kind == "TopK" else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    source = ModelSource.in_memory(model.SerializeToString(), Path("m.onnx"))
    x = np.array(numbers, np.float32)
    to = helper.tensor_dtype_to_np_dtype(attributes.get("to", TensorProto.FLOAT))
    _, feeds, (loose,) = take_apart(source, {"x": x, "y": np.zeros(len(numbers), to)})
    told = find_left_open(loose, feeds, made={"y": np.zeros(len(numbers), to)})
    assert words in told
    assert bool(told) == bool(words)


def test_an_order_that_is_left_to_the_engine_ends_undecided_with_its_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime gives the k in the order of its heap; OpenVINO, which sorts them all the same, was its accuser."""
    graph = helper.make_graph(
        [helper.make_node("TopK", ["x", "k"], ["v", "i"], sorted=0, largest=0)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(np.array([5]), "k")],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    with pytest.raises(CheckFailedError, match="give it sorted=1"):
        app(args=["selftest", str(path), "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["reference"]) == ("undecided", "undecided")
    assert "toolkit runtimes list" not in report["reference_witnesses"]["words"]


def test_without_a_third_engine_two_that_part_end_undecided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(third_engines, "THIRD_ENGINES", ())
    wrong_evaluator(monkeypatch, lambda outputs: {name: array * 1.01 for name, array in outputs.items()})
    path = tmp_path / "m.onnx"
    path.write_bytes(source_of("half").model)
    with pytest.raises(CheckFailedError, match=r"undecided: nobody can be believed: node 'm' \(MatMul, opset 18\)"):
        app(args=["selftest", str(path), "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["verdict"], report["reference"]) == (False, "undecided", "undecided")


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        (["pass", "skip"], "pass"),
        (["pass", "refused"], "pass"),
        (["pass", "named"], "fail"),
        (["pass", "undecided"], "undecided"),
        (["undecided", "fail"], "fail"),
        (["refused", "skip"], "fail"),
        (["skip"], "fail"),
    ],
)
def test_a_refusal_is_fatal_for_an_engine_that_was_named(statuses: list[str], verdict: str) -> None:
    rows = tuple(row("refused" if status == "named" else status, was_named=status == "named") for status in statuses)
    report = ParityReport(
        reference="onnx-float64", bound=1.0, bound_rule="", baseline="none", rows=rows, model={}, data={}
    )
    assert (report.verdict, report.passed) == (verdict, verdict == "pass")


def test_an_engine_that_does_not_take_a_file_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    path = tmp_path / "m.onnx"
    path.write_bytes(source_of("own function").model)
    words = ["parity", str(path), "--threads", "1", "--optimisation", "all", "--json", "--runtime"]
    with pytest.raises(CheckFailedError, match="failed in 1 of 2 rows; openvino on cpu: OpenVINO refuses the model"):
        app(args=[*words, "ort,openvino"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(item["runtime"], item["status"]) for item in rows] == [("ort", "pass"), ("openvino", "refused")]


def ill_conditioned() -> ModelSource:
    """Return a normalisation that divides by next to nothing where its input is constant."""
    weights = [
        numpy_helper.from_array(np.ones(2, np.float32), "s"),
        numpy_helper.from_array(np.zeros(2, np.float32), "b"),
    ]
    graph = helper.make_graph(
        [helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], epsilon=1e-9)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 49])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, 49])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ModelSource.in_memory(model.SerializeToString(), Path("m.onnx"))


def test_a_node_that_is_ill_conditioned_is_nobodys_fault() -> None:
    """A normalisation of a constant: float32 gives noise, one move of the input as much."""
    feeds = {"x": np.full((1, 2, 49), 0.1, np.float32)}
    assert parted_nodes.find_parted_nodes(ill_conditioned(), feeds, limits=LIMITS["fp32"], opener=open_worker) == ()


def calls(count: int) -> tuple[FeedSet, ...]:
    return tuple(FeedSet(f"call {number}", {"x": np.zeros(1 + (number == 0), np.float32)}) for number in range(count))


class Clock:
    """Time that passes only where something runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Slow(Closing):
    """An engine whose every call takes as long as it is told, or which hangs past its limit."""

    def __init__(self, clock: Clock, seconds: dict[str, float], settings: RuntimeSettings, timeout_s: float) -> None:
        self.clock, self.timeout_s = clock, timeout_s
        self.left_out: dict[str, str] = {}
        self.seconds = seconds[settings.runtime]

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        seconds = self.seconds * len(feeds["x"])
        self.clock.now += min(seconds, self.timeout_s)
        if seconds > self.timeout_s:
            raise WorkerError("the engine hung")
        return {"y": np.ones(1, np.float32)}

    def count_multiply_adds(self, feeds: dict[str, Any]) -> int:
        return 1000 * len(feeds["x"])


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WitnessAnswers]:
    """Return a function that asks engines of which every call takes so many seconds an item."""

    def make(count: int, *, ort: float, float64: float, budget: float, work: int | None = None) -> WitnessAnswers:
        clock = Clock()
        seconds = {"ort": ort, "onnx-widened": float64}

        def open_slow(_: ModelSource, settings: RuntimeSettings, *, timeout_s: float, **__: Any) -> Slow:
            return Slow(clock, seconds, settings, timeout_s)

        monkeypatch.setattr("toolkit.parity.config.time", clock)
        monkeypatch.setattr("toolkit.parity.references.answers.time", clock)
        asked = ask_witnesses(
            ANY, calls(count), budget=Budget(seconds=budget, start=0.0, multiply_adds=work), opener=open_slow
        )
        assert clock.now <= 2 * budget
        return asked

    return make


def test_a_budget_takes_as_many_calls_as_fit_and_names_the_others(ask: Callable[..., WitnessAnswers]) -> None:
    whole = ask(4, ort=0.1, float64=1, budget=60)
    assert (len(whole.sets), whole.explain_left(Budget())) == (4, ())
    part = ask(5, ort=0.1, float64=6, budget=60)
    assert [feed.name for feed in part.sets] == ["call 0", "call 1", "call 2"]
    assert len(part.own) == len(part.exact or ()) == 3
    (left,) = part.explain_left(Budget(seconds=60))
    assert left.startswith("the budget of 60 s leaves out the calls 'call 3', 'call 4' and judges 'call 0',")
    assert part.cut(1).explain_left(Budget())[0].endswith("judges 'call 0'; a larger --budget takes more")


@pytest.mark.parametrize(
    ("work", "kept"),
    [
        (None, ["call 0", "call 1", "call 2", "call 3"]),
        (5000, ["call 0", "call 1", "call 2", "call 3"]),
        (4000, ["call 0", "call 1", "call 2"]),
        (3000, ["call 0", "call 1"]),
        (1999, ["call 1"]),
    ],
)
def test_counted_work_chooses_the_calls_whatever_the_clock_says(
    ask: Callable[..., WitnessAnswers], work: int | None, kept: list[str]
) -> None:
    for seconds in (0.001, 1.0):
        asked = ask(4, ort=seconds, float64=seconds, budget=60, work=work)
        assert [feed.name for feed in asked.sets] == kept
        assert len(asked.own) == len(asked.exact or ()) == len(kept)
        (*left,) = asked.explain_left(Budget(multiply_adds=work))
        assert bool(left) == (len(kept) < 4)
        assert not left or f"{work:.2g} multiply-adds and 30 s leaves out" in left[0]


def test_where_the_first_call_does_not_fit_the_smallest_one_does(ask: Callable[..., WitnessAnswers]) -> None:
    asked = ask(4, ort=0.1, float64=20, budget=60)
    assert [feed.name for feed in asked.sets] == ["call 1"]
    assert "'call 0', 'call 2', 'call 3'" in asked.explain_left(Budget())[0]


def test_an_evaluation_that_takes_longer_than_the_budget_is_none(ask: Callable[..., WitnessAnswers]) -> None:
    asked = ask(3, ort=0.1, float64=500, budget=20)
    assert (asked.exact, asked.why_not) == (None, "it hung; the budget of 20 s holds for it too")
    assert len(asked.own) == 3


def test_a_budget_is_some_time() -> None:
    with pytest.raises(UsageError, match="--budget is 0"):
        Budget(seconds=0)
    assert 2 << 30 <= memory_for_reference() <= 12 << 30


def test_a_budget_means_nothing_to_a_model_with_a_card(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = STRANGERS["half"]()
    model.metadata_props.add(key=CARD_KEY, value="{}")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="leave out --inputs, --shape, --value and --budget"):
        app(args=["selftest", str(path), "--budget", "5"], standalone_mode=False)


def test_a_step_of_a_quantiser_is_neither_right_nor_wrong(say: Callable[..., FeedsReference], tmp_path: Path) -> None:
    """ONNX Runtime met no edge of a step; an engine that divides in another order may."""
    reference = say([floats(1, 2)] * 2, [np.array([1.0, 2.0])] * 2, jitter=0.05, precision="int8")
    recording = Recording(reference=reference, model_sha256=ANY.sha256, data={})
    write_recording(tmp_path / "proof", recording)
    kept = read_recording(tmp_path / "proof", ANY).reference
    assert isinstance(kept, FeedsReference)
    entry = kept.suites[0]
    assert entry.steps == {"y": pytest.approx(0.2)}
    assert compare_feeds({"y": floats(1, 2)}, entry)
    stepped = compare_feeds({"y": floats(1, 2.05)}, entry)
    assert not stepped
    assert not stepped.failures
    assert compare_feeds({"y": floats(1, 2.3)}, entry).failures
    outcomes = [
        Outcome(trial=make_trial(entry), agreement=item)
        for item in (stepped, compare_feeds({"y": floats(1, 2)}, entry))
    ]
    assert summarise_row(row("fail"), outcomes, settings=RuntimeSettings()).status == "undecided"
    assert not say([floats(1, 2)], [np.array([1.0, 2.0])], jitter=0.05).suites[0].steps


def test_no_engine_is_blamed_for_a_call_that_is_ill_conditioned(
    say: Callable[..., FeedsReference], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence after a logarithm: unoptimised ONNX Runtime is right by luck, another order of additions is not."""
    calls = [floats(1, 2), floats(1, 2), floats(1, 2)]
    reference = say(calls, [item.astype(np.float64) for item in calls])
    wrong = {"y": floats(1.1, 2)}
    assert not compare_feeds(wrong, reference.suites[2])
    moved = [{"y": 1e-7}, {"y": 1e-7}, {"y": 0.05}]
    monkeypatch.setattr(second_look, "ask_jitter", lambda *_, **__: moved)
    looked = second_look.look_again(ANY, reference, precision="fp32", opener=open_worker)
    assert [list(entry.reach) for entry in looked.suites] == [[], [], ["y"]]
    assert not looked.open_question  # the other calls decide
    assert compare_feeds(wrong, looked.suites[2])
    assert not compare_feeds(wrong, looked.suites[0])
    assert not compare_feeds({"y": floats(3, 2)}, looked.suites[2])  # more than the file itself moves


def test_rows_that_fail_are_judged_again_by_the_bounds_of_a_second_look(
    say: Callable[..., FeedsReference], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = say([floats(1, 2)] * 3, [np.array([1.0, 2.0])] * 3)
    looked = replace(reference, rule="another")
    judged: list[str] = []

    def judge(variant: Any, *, arithmetics: Any, **__: Any) -> ParityRow:
        judged.append(variant.settings.runtime)
        is_first = arithmetics.reference is reference
        return row("fail" if is_first and variant.settings.runtime == "tract" else "pass", runtime=judged[-1])

    monkeypatch.setattr(matrix, "_judge_variant", judge)
    monkeypatch.setattr(second_look, "look_again", lambda *_, **__: looked)
    recording = Recording(reference=reference, model_sha256="", data={})
    config = ParityConfig(runtimes=("openvino", "tract"), threads=(1,))
    report = matrix.judge_matrix(ANY, recording, config=config, precision="fp32")
    assert judged == ["openvino", "tract", "tract"]
    assert (report.verdict, report.bound_rule) == ("pass", "another")


def test_probabilities_that_are_all_small_are_not_held_to_less_than_exp_can(say: Callable[..., FeedsReference]) -> None:
    own, exact = [floats(2e-5, 1e-5)], [np.array([2e-5 + 2e-8, 1e-5])]
    (entry,) = say(own, exact).suites
    assert (entry.bounds["y"], entry.reach) == (pytest.approx(16 * 2e-8, rel=0.01), {})
    assert not compare_feeds({"y": floats(2e-5 * 1.04, 1e-5)}, entry)
    (other,) = say([-own[0]], [-exact[0]]).suites
    assert other.reach
