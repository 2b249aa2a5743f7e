"""A failure is explained: the file or the engine, and which of the usual mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from broken_models import broken
from onnx import helper, numpy_helper
from small_training import begin, small_recipe
from strangers import STRANGERS
from whole_parity import open_here, run_parity

from exporters import ExportSpec, export_torch
from toolkit.cli.app import app
from toolkit.closing import Closing
from toolkit.data.load import load_mini
from toolkit.durable import sha256_bytes
from toolkit.errors import CheckFailedError, ModelError
from toolkit.network.cnn import ContractNetwork
from toolkit.onnx_file.cutting import cut_model, list_inner_tensors
from toolkit.onnx_file.reading import find_shape_claims, read_facts
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import ParityConfig
from toolkit.parity.diagnosis import triage
from toolkit.parity.diagnosis.bisect import bisect_engine, bisect_file, bisect_report
from toolkit.parity.diagnosis.triage import explain_logits, explain_rest, find_matches, triage_report
from toolkit.parity.references.expectations import FeedExpectation
from toolkit.parity.references.images import SuiteReference
from toolkit.parity.references.stated import Stated
from toolkit.parity.report import ParityReport, ParityRow, WorstSample
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import read_run
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.references.fault_models import FaultModelsRuntime
from toolkit.runtimes.references.widened import WidenedRuntime
from toolkit.runtimes.workers.probe import Examination

QUICK = ParityConfig(
    runtimes=("ort",), threads=(1,), optimisations=("all",), sample=64, small_batches=(3,), small_count=6
)
LOGITS = np.random.default_rng(3).normal(0, 4, (20, 10))
BOUND = 1e-4


def source_of(model: bytes, run: Path | None = None) -> ModelSource:
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("model.onnx"), run=run)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponent / exponent.sum(axis=1, keepdims=True)


ORDER = np.roll(np.arange(10), 3)


@pytest.fixture(autouse=True)
def state_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read what a file states in this process; `test_inspect.py` has the worker's side."""

    def read(source: ModelSource) -> Stated:
        try:
            facts = read_facts(source.model, name="m")
        except ModelError:
            return Stated(None)
        return Stated(Examination(facts, find_shape_claims(source.model, name="m")))

    monkeypatch.setattr(triage, "read_stated", read)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (softmax(LOGITS), "the logits are probabilities"),
        (LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True)), "as by a log-softmax"),
        (LOGITS[:, ORDER], "output k holds class [7, 8, 9, 0, 1, 2, 3, 4, 5, 6][k]"),
        (LOGITS * 0.5, "0.5 times the reference's"),
    ],
)
def test_logits_on_another_scale_or_in_another_order_are_recognised(seen: np.ndarray, words: str) -> None:
    (found,) = explain_logits(seen, LOGITS, bound=BOUND)
    assert words in found


@pytest.mark.parametrize("seen", [LOGITS, LOGITS + BOUND / 2, LOGITS + np.random.default_rng(1).normal(0, 1, (20, 10))])
def test_what_is_right_or_unexplained_gets_no_explanation(seen: np.ndarray) -> None:
    assert list(explain_logits(seen, LOGITS, bound=BOUND)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": LOGITS.argmin(axis=1)}, "`label` is the smallest logit's"),
        ({"label": LOGITS.argmax(axis=1) + 1}, "`label` is one too high"),
        ({"label": np.zeros(20, np.int64)}, "`label` is not the largest logit's"),
        ({"probabilities": softmax(LOGITS.T).T}, "a softmax over the batch"),
        ({"probabilities": LOGITS}, "`probabilities` are the logits"),
        ({"probabilities": softmax(LOGITS) ** 2}, "not the softmax of its logits"),
    ],
)
def test_a_file_whose_logits_alone_are_right_is_recognised(change: dict[str, np.ndarray], words: str) -> None:
    right = {"logits": LOGITS, "probabilities": softmax(LOGITS), "label": LOGITS.argmax(axis=1)}
    assert list(explain_rest(right)) == []
    (found,) = explain_rest({**right, **change})
    assert words in found


@pytest.fixture(scope="module")
def suspects(model_path: Path, trained_run: Path) -> FaultModelsRuntime:
    source = source_of(broken(model_path.read_bytes(), "bias dropped"), trained_run)
    return FaultModelsRuntime(source, RuntimeSettings(runtime="torch-suspects"))


def test_faults_are_the_networks_answers_to_what_they_say(suspects: FaultModelsRuntime, trained_run: Path) -> None:
    images = load_mini().test.images[:5]
    network = read_checkpoint(read_run(trained_run).checkpoint_path).network.eval().double()
    mean, std = network.mean.numpy(), float(network.std)
    answers = suspects.run({"images": images})
    wide = images.astype(np.float64)
    # What the module is fed so that its own standardisation ends in the mistake.
    fed = {
        "height and width are swapped": wide.transpose(0, 2, 1),
        "light and dark are inverted": 255 - wide,
        "standardisation is missing": wide * std + mean,
        "standardisation is done twice": (wide - mean) / std,
        "the mean is not subtracted": wide + mean,
        "nothing is divided by the standard deviation": (wide - mean) * std + mean,
    }
    with torch.inference_mode():
        for name, values in fed.items():
            expected = network(torch.from_numpy(np.ascontiguousarray(values))).numpy()
            assert np.abs(answers[name] - expected).max() < 1e-9, name
    assert find_matches(answers["images are upside down"], answers, bound=1e-6) == ("images are upside down",)


def test_weights_that_are_not_the_runs_are_listed(suspects: FaultModelsRuntime) -> None:
    (words,) = suspects.info.details["weights"]
    assert words.startswith("network.stages.0.convs.0.bias is not the run's in")
    assert suspects.info.details["are_all_known"]


def test_where_each_image_has_its_own_mean_none_can_be_forgotten(tmp_path: Path) -> None:
    run = begin(tmp_path, small_recipe("standardisation=image", "epochs=1")).run
    network = read_checkpoint(read_run(run).checkpoint_path).network.eval()
    model = export_torch(ContractNetwork(network), (torch.zeros((2, 28, 28), dtype=torch.uint8),), spec=ExportSpec())
    source = source_of(model.SerializeToString(), run)
    runtime = FaultModelsRuntime(source, RuntimeSettings(runtime="torch-suspects"))
    assert runtime.info.details == {"weights": [], "are_all_known": True}
    assert not [output.name for output in runtime.info.outputs if "mean" in output.name or "is missing" in output.name]


def test_a_file_of_fewer_bits_holds_the_runs_weights_rounded(model_path: Path, trained_run: Path) -> None:
    """Rounding is no change, and weights that are not found are not said to be right."""
    half, other = (onnx.ModelProto.FromString(model_path.read_bytes()) for _ in range(2))
    for tensor in half.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            rounded = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(rounded, f"{tensor.name}.half"))
    other.graph.initializer[0].name = "quantised"
    for model, are_all_known in ((half, True), (other, False)):
        source = source_of(model.SerializeToString(), trained_run)
        details = FaultModelsRuntime(source, RuntimeSettings(runtime="torch-suspects")).info.details
        assert details == {"weights": [], "are_all_known": are_all_known}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param("mean off by one pixel", "network.mean is not the run's in", marks=pytest.mark.slow),
        pytest.param("ReLU removed", "the exporter or an edit changed what is computed", marks=pytest.mark.slow),
        pytest.param("label from the smallest logit", "`label` is the smallest logit's", marks=pytest.mark.slow),
    ],
)
def test_a_fault_in_the_file_is_named(fault: str, words: str, model_path: Path, trained_run: Path) -> None:
    source = source_of(broken(model_path.read_bytes(), fault), trained_run)
    report = triage_report(run_parity(source, load_mini(), QUICK, opener=open_here), source, opener=open_here)
    (row,) = report.rows
    assert row.causes[0].startswith("the file: ")
    assert words in row.causes[-1]


def test_a_file_without_its_run_is_still_told_from_the_engine(model_path: Path) -> None:
    source = source_of(broken(model_path.read_bytes(), "bias dropped"))
    (row,) = triage_report(run_parity(source, load_mini(), QUICK, opener=open_here), source, opener=open_here).rows
    assert [cause.split(":")[0] for cause in row.causes] == ["the file"]


class FakeWorker(Closing):
    """An engine whose answers depend on its settings and on the batch."""

    def __init__(self, source: ModelSource, settings: RuntimeSettings, **_: Any) -> None:
        self.settings, self.calls = settings, 0

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        images = feeds["images"]
        logits = LOGITS[images[:, 0, 0]].astype(np.float32)
        if self.settings.runtime == "onnx-widened":
            wide = LOGITS[images[:, 0, 0]]
            return {"logits": wide, "probabilities": softmax(wide), "label": wide.argmax(axis=1)}
        if self.settings.runtime == "onnx-float64":
            return {"rounding_sigma": np.full((len(images), 10), 1e-3)}
        logits = self.spoil(logits)
        return {
            "logits": logits,
            "probabilities": softmax(logits).astype(np.float32),
            "label": logits.argmax(axis=1),
        }

    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits


class Chance(FakeWorker):
    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.float32(0.01 * self.calls)


class BatchBaked(FakeWorker):
    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.float32(0.1) if len(logits) > 2 else logits


class Optimised(FakeWorker):
    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.float32(0.1) if self.settings.optimisation != "none" else logits


class Tf32(FakeWorker):
    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.float32(0.004) if self.settings.tf32 else logits


class OnDevice(FakeWorker):
    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.float32(0.1) if self.settings.provider == "cuda" else logits


class Threaded(FakeWorker):
    def spoil(self, logits: np.ndarray) -> np.ndarray:
        return logits + np.float32(0.1) if self.settings.threads != 1 else logits


def failed_report(settings: RuntimeSettings, error: float) -> ParityReport:
    images = np.zeros((6, 2, 2), np.uint8)
    images[:, 0, 0] = np.arange(6)
    expected = SuiteReference(name="test", images=images, logits=LOGITS[:6], bound=BOUND)
    worst = WorstSample(settings=settings, suite="test", batch=6, index=0, position=0, error=error, expected=expected)
    row = ParityRow(
        runtime=settings.runtime,
        provider=settings.provider,
        precision="fp32",
        threads=settings.threads,
        optimisation=None,
        worst=worst,
        status="fail",
    )
    return ParityReport(
        reference="pytorch-float64", bound=BOUND, bound_rule="", baseline="", rows=(row,), model={}, data={}
    )


@pytest.mark.parametrize(
    ("engine", "settings", "words"),
    [
        (Chance, RuntimeSettings(threads=1, optimisation="none"), "chance: 'logits' differs between two runs"),
        (BatchBaked, RuntimeSettings(threads=1, optimisation="none"), "the batch: right at 1, 2, wrong at 3, 6"),
        (Optimised, RuntimeSettings(threads=1), "with --optimisation none the row passes"),
        (Tf32, RuntimeSettings(provider="cuda", tf32=True, threads=1, optimisation="none"), "TF32: without it"),
        (OnDevice, RuntimeSettings(provider="cuda", threads=1, optimisation="none"), "on the CPU instead of cuda"),
        (Threaded, RuntimeSettings(optimisation="none"), "with --threads 1 the row passes"),
    ],
)
def test_a_fault_in_the_engine_is_named(engine: type[FakeWorker], settings: RuntimeSettings, words: str) -> None:
    (row,) = triage_report(failed_report(settings, error=0.1), source_of(b"model"), opener=engine).rows
    assert len(row.causes) == 1
    assert words in row.causes[0]


def normalising(*, is_training: bool) -> bytes:
    """Return a file that normalises by its batch, or by what it holds."""
    weights = [numpy_helper.from_array(np.ones(4, np.float32), name) for name in "abcd"]
    node = helper.make_node("BatchNormalization", ["x", *"abcd"], ["y"], training_mode=int(is_training))
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    graph = helper.make_graph([node], "normalising", value[:1], value[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=10).SerializeToString()


@pytest.mark.parametrize("engine", [Chance, BatchBaked])
def test_what_the_file_states_comes_before_what_behaviour_suggests(engine: type[FakeWorker]) -> None:
    report = failed_report(RuntimeSettings(threads=1, optimisation="none"), error=0.1)
    (row,) = triage_report(report, source_of(normalising(is_training=True)), opener=engine).rows
    words = "BatchNormalization with training_mode=1: it normalises by the batch that it is given, as in training"
    assert row.causes == (f"the file states: {words}",)
    (row,) = triage_report(report, source_of(normalising(is_training=False)), opener=engine).rows
    assert row.causes[0].startswith(("chance: ", "the batch: "))


def strange_report(**changes: Any) -> ParityReport:
    """Return the report of a stranger's file with one row."""
    outputs, x = np.zeros((2, 4)), np.ones((2, 4), np.float32)
    expected = FeedExpectation(
        name="normal",
        feeds={"images": x[:, :, None].astype(np.uint8)},
        outputs={"logits": outputs},
        dtypes={"logits": "float32"},
        bounds={"logits": 1e-3},
        undecided={"logits": np.zeros((2, 4), bool)},
    )
    settings = RuntimeSettings(threads=1, optimisation="none")
    worst = WorstSample(settings=settings, suite="normal", batch=2, index=0, position=0, error=1.0, expected=expected)
    report = failed_report(settings, error=1.0)
    return replace(report, rows=(replace(report.rows[0], **{"worst": worst, **changes}),))


def test_a_strangers_few_bits_are_told_before_the_engine_is_blamed() -> None:
    (row,) = triage_report(strange_report(), source_of(STRANGERS["half"]().SerializeToString()), opener=FakeWorker).rows
    assert row.causes == (
        "the file states: weights in few bits (128 float16): engines differ in whether they compute in them",
        triage.UNEXPLAINED,
    )


def test_a_refusal_is_explained_by_the_engines_own_tables() -> None:
    source = source_of(STRANGERS["foreign domain"]().SerializeToString())
    refused = strange_report(runtime="onnx", status="refused", worst=None)
    (row,) = triage_report(refused, source).rows
    assert row.causes == (
        f"the engine: onnx {onnx.__version__} does not have com.microsoft.FusedMatMul (opset 1), by its own tables",
    )
    (row,) = triage_report(replace(refused, rows=(replace(refused.rows[0], runtime="tract"),)), source).rows
    assert row.causes == ()


def test_an_error_of_the_size_of_fewer_bits_is_said_to_be_one() -> None:
    class Coarse(FakeWorker):
        def spoil(self, logits: np.ndarray) -> np.ndarray:
            return logits + np.float32(0.002)

    settings = RuntimeSettings(threads=1, optimisation="none")
    (row,) = triage_report(failed_report(settings, error=0.002), source_of(b"model"), opener=Coarse).rows
    assert "float16 or TF32" in row.causes[0]


@pytest.mark.parametrize(("error", "sigma"), [(BOUND / 2, 1e-3), (2.0, 1.0)])
def test_fewer_bits_explain_no_error_that_is_none_and_none_as_wide_as_the_logits(error: float, sigma: float) -> None:
    class Wide(FakeWorker):
        def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
            outputs = super().run(feeds)
            return {"rounding_sigma": outputs["rounding_sigma"] * sigma * 1e3} if len(outputs) == 1 else outputs

        def spoil(self, logits: np.ndarray) -> np.ndarray:
            return logits + np.float32(error)

    settings = RuntimeSettings(threads=1, optimisation="none")
    (row,) = triage_report(failed_report(settings, error=error), source_of(b"model"), opener=Wide).rows
    assert not any("fewer bits" in cause for cause in row.causes)


def test_an_engine_that_is_wrong_without_a_usual_mistake_is_sent_to_bisect() -> None:
    class Wrong(FakeWorker):
        def spoil(self, logits: np.ndarray) -> np.ndarray:
            return logits + np.float32(5)

    (row,) = triage_report(failed_report(RuntimeSettings(), error=5.0), source_of(b"model"), opener=Wrong).rows
    assert len(row.causes) == 1
    assert "--bisect" in row.causes[0]


def test_a_server_that_is_wrong_is_not_sent_to_bisect_and_its_file_is_doubted() -> None:
    class Wrong(FakeWorker):
        def spoil(self, logits: np.ndarray) -> np.ndarray:
            return logits + np.float32(5)

    told: list[str] = []
    report = failed_report(RuntimeSettings(runtime="oip-http", provider="remote", at="http://a"), error=5.0)
    report = triage_report(report, source_of(b"model"), opener=Wrong)
    assert [cause[:36] for cause in report.rows[0].causes] == ["the server may hold another file: an"]
    assert not bisect_report(report, source_of(b"model"), say=told.append).bisect
    assert told == ["--bisect: a server is asked for the whole of its own file; nothing can be run again node by node"]


def test_an_engine_that_ends_while_it_is_examined_is_a_finding() -> None:
    class Ends(FakeWorker):
        def __init__(self, source: ModelSource, settings: RuntimeSettings, **more: Any) -> None:
            if settings.runtime == "ort":
                raise ModelError("it is gone")
            super().__init__(source, settings, **more)

    (row,) = triage_report(failed_report(RuntimeSettings(), error=0.1), source_of(b"model"), opener=Ends).rows
    assert row.causes == ("while looking for the cause: it is gone",)


def test_a_cut_graph_holds_what_its_tensor_needs_and_nothing_else() -> None:
    source = source_of(STRANGERS["token ids"]().SerializeToString())
    assert [item.operator for item in list_inner_tensors(source, "attention")] == [
        "Gather",
        "LayerNormalization",
        "Transpose",
        "MatMul",
        "Softmax",
    ]
    cut = onnx.ModelProto.FromString(cut_model(source, "n").model)
    assert [node.op_type for node in cut.graph.node] == ["Gather", "LayerNormalization"]
    assert [item.name for item in cut.graph.output] == ["n"]
    assert {item.name for item in cut.graph.initializer} == {"table", "gain", "shift"}


def test_a_cut_graph_keeps_what_only_a_subgraph_names() -> None:
    source = source_of(STRANGERS["loop"]().SerializeToString())
    cut = onnx.ModelProto.FromString(cut_model(source, "y").model)
    assert {item.name for item in cut.graph.initializer} == {"w", "times"}


def test_a_graph_that_cannot_be_cut_says_so() -> None:
    """A sparse weight is no weight to the library that cuts."""
    value, place = numpy_helper.from_array(np.ones(1, np.float32), "w"), numpy_helper.from_array(np.array([2]), "at")
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "sparse",
        ends[:1],
        ends[1:],
        sparse_initializer=[helper.make_sparse_tensor(value, place, [4])],
    )
    with pytest.raises(ModelError, match="cannot be cut at 'y'"):
        cut_model(source_of(helper.make_model(graph).SerializeToString()), "y")


def chain(*, slope: float) -> bytes:
    """Return six nodes; the fourth is a LeakyRelu of the given slope."""
    operators = ["Tanh", "Neg", "Identity", "LeakyRelu", "Exp", "Abs"]
    nodes = [
        helper.make_node(operator, [f"t{index}"], [f"t{index + 1}"], **({"alpha": slope} if index == 3 else {}))
        for index, operator in enumerate(operators)
    ]
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("t0", "t6")]
    graph = helper.make_graph(nodes, "chain", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


@pytest.mark.slow
def test_the_first_node_that_is_not_a_fresh_exports_is_found() -> None:
    feeds = {"t0": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}
    finding = bisect_file(source_of(chain(slope=0.2)), source_of(chain(slope=0.1)), feeds=feeds, output="t6")
    assert finding.tensor is not None
    assert (finding.tensor.operator, finding.number, finding.count) == ("LeakyRelu", 4, 6)
    assert "LeakyRelu (t3) -> t4" in finding.describe()
    same = bisect_file(source_of(chain(slope=0.1)), source_of(chain(slope=0.1)), feeds=feeds, output="t6")
    assert same.tensor is None


def branches(*, slope: float) -> bytes:
    """Return two branches that meet; the one listed first holds a LeakyRelu of the given slope."""
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("LeakyRelu", ["x"], ["b"], alpha=slope),
        helper.make_node("Tanh", ["x"], ["c"]),
        helper.make_node("Exp", ["c"], ["d"]),
        helper.make_node("Add", ["a", "b"], ["e"]),
        helper.make_node("Mul", ["e", "d"], ["y"]),
    ]
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "branches", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def test_a_node_whose_input_is_wrong_already_is_not_the_first() -> None:
    def open_here(source: ModelSource, settings: RuntimeSettings, **_: Any) -> Any:
        return WidenedRuntime(source, settings)

    feeds = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}
    sources = (source_of(branches(slope=slope)) for slope in (0.2, 0.1))
    finding = bisect_file(*sources, feeds=feeds, output="y", opener=open_here)
    assert finding.tensor is not None
    assert finding.tensor.operator == "LeakyRelu"


def test_fewer_bits_that_were_asked_for_are_no_wrong_node() -> None:
    told: list[str] = []
    report = failed_report(RuntimeSettings(runtime="openvino", precision="bf16"), error=0.1)
    assert not bisect_report(report, source_of(b"model"), say=told.append).bisect
    assert "bf16 leaves float32's bound at its first product" in told[-1]


def test_an_output_that_no_node_makes_cannot_be_bisected() -> None:
    with pytest.raises(ModelError, match="an input or a weight"):
        bisect_engine(source_of(branches(slope=0.1)), RuntimeSettings(), feeds={}, output="x")


def test_a_cut_keeps_no_input_that_it_does_not_read_and_no_output_that_is_left_out() -> None:
    cut = onnx.ModelProto.FromString(cut_model(source_of(STRANGERS["two inputs"]().SerializeToString()), "wide").model)
    assert [item.name for item in cut.graph.input] == ["left"]
    names = ("y", "x", "w", "r", "top")
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names]
    nodes = [
        helper.make_node("GRU", ["x", "w", "r"], ["", "h"], hidden_size=2),
        helper.make_node("Clip", ["h", "", "top"], ["y"]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "left out", value[1:], value[:1]))
    tensors = list_inner_tensors(source_of(model.SerializeToString()), "y")
    assert [tensor.name for tensor in tensors] == ["h", "y"]


@pytest.mark.slow
def test_the_first_node_that_an_engine_computes_wrongly_is_found() -> None:
    """OpenVINO told to use bfloat16 leaves the bound where a product is first rounded."""
    source = source_of(STRANGERS["two inputs"]().SerializeToString())
    generator = np.random.default_rng(1)
    feeds: dict[str, Any] = {
        "left": generator.standard_normal((2, 12)).astype(np.float32),
        "right": generator.standard_normal((2, 5)).astype(np.float32),
    }
    settings = RuntimeSettings(runtime="openvino", threads=1)
    assert bisect_engine(source, settings, feeds=feeds, output="values").tensor is None
    finding = bisect_engine(source, replace(settings, precision="bf16"), feeds=feeds, output="values")
    if finding.tensor is None:
        pytest.skip("this processor gives OpenVINO no bfloat16")
    assert finding.tensor.operator == "MatMul"


@pytest.mark.slow
def test_bisect_lays_a_broken_file_beside_a_fresh_export(
    model_path: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(trained))
    path = tmp_path / "broken.onnx"
    path.write_bytes(broken(model_path.read_bytes(), "kernel transposed"))
    words = ["parity", str(path), "--runtime", "ort", "--threads", "1", "--optimisation", "all", "--sample", "64"]
    with pytest.raises(CheckFailedError):
        app(args=[*words, "--data", "mnist-mini", "--bisect", "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["bisect"]["tensor"]["operator"] == "Conv"
    assert "network.stages.1.convs.0.weight" in report["bisect"]["words"]
