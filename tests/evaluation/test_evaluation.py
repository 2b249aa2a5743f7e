"""Accuracy, its interval, and the self-test."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_models import FAULTS, broken
from fake_engine import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from toolkit.card import CARD_KEY, Card
from toolkit.data.load import load_mini
from toolkit.durable import sha256_bytes
from toolkit.errors import DataError, ModelError
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.evaluation.candidate import open_candidate
from toolkit.evaluation.evaluate import evaluate_run, evaluate_test_images
from toolkit.evaluation.inspect import inspect_model
from toolkit.evaluation.selftest import run_selftest
from toolkit.intervals import wilson_interval
from toolkit.onnx_file.source import ModelSource
from toolkit.render.training import confusion_table
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import check_contract, require_contract
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.workers.client import WorkerRuntime


def source_of(model: bytes) -> ModelSource:
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("model.onnx"))


@given(st.integers(1, 100_000), st.data())
def test_the_interval_holds_its_point_and_stays_inside(count: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, count))
    low, high = wilson_interval(correct, count)
    assert 0 <= low <= correct / count <= high <= 1
    assert high - low > 0


def test_the_interval_is_wilsons() -> None:
    # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3: 81 of 263 and 15 of 148.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


@pytest.mark.parametrize(("correct", "count"), [(0, 0), (3, 2), (-1, 4)])
def test_no_interval_without_images(correct: int, count: int) -> None:
    with pytest.raises(DataError):
        wilson_interval(correct, count)


def test_confusion_counts_rows_by_truth() -> None:
    labels, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    report = measure_accuracy(labels, predicted, classes=3, dataset="d")
    assert report.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 1))
    assert (report.correct, report.count) == (3, 5)
    assert "60.00 %" in report.describe()


@pytest.mark.parametrize(
    ("confusion", "told"),
    [
        pytest.param([[20, 0, 0], [20, 0, 0], [20, 0, 0]], "20 of 60 right .* 'a' [(]20 of 60[)]", id="one answer"),
        pytest.param([[95, 0], [4, 1]], "96 of 100 right .* 'a' [(]95 of 100[)]", id="hardly more than one answer"),
        pytest.param([[1, 0], [0, 1]], "2 of 2 right .* as far as 2 test images can tell", id="too few to tell"),
        pytest.param([[95, 0], [0, 25]], "", id="all right"),
        pytest.param([[30, 10], [10, 30]], "", id="clearly more"),
    ],
)
def test_an_accuracy_that_chance_would_reach_is_told(confusion: list[list[int]], told: str) -> None:
    rows = tuple(tuple(row) for row in confusion)
    correct, count = sum(row[index] for index, row in enumerate(rows)), sum(map(sum, rows))
    report = AccuracyReport(dataset="x", count=count, correct=correct, confusion=rows)
    sentences = report.describe_chance(["a", "b", "c"][: len(rows)])
    assert len(sentences) == bool(told)
    assert all(re.search(told, sentence) for sentence in sentences)


def text_of(table: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_of_many_classes_the_most_frequent_confusions_are_told() -> None:
    confusion = np.eye(1000, dtype=int) * 9
    confusion[7, 300], confusion[998, 7] = 5, 11
    rows = tuple(map(tuple, confusion.tolist()))
    report = AccuracyReport(dataset="x", count=int(confusion.sum()), correct=9000, confusion=rows)
    assert report.top_confusions(9) == [(998, 7, 11), (7, 300, 5)]
    lines = text_of(confusion_table(report, [f"c{number}" for number in range(1000)])).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["c998", "c7", "11", "of", "20"],
        ["c7", "c300", "5", "of", "14"],
    ]
    assert lines[0].split()[:3] == ["true", "predicted", "images,"]


def test_of_few_classes_the_whole_matrix_is_told() -> None:
    report = AccuracyReport(dataset="x", count=6, correct=4, confusion=((3, 0), (2, 1)))
    lines = text_of(confusion_table(report, ["a", "b"])).splitlines()
    assert [line.split() for line in lines[1:]] == [["a", "3", "."], ["b", "2", "1"]]


def test_a_run_and_its_file_have_the_same_figures(trained_run: Path, model_path: Path) -> None:
    data = load_mini()
    run = evaluate_run(trained_run, data)
    with open_candidate(model_path) as candidate:
        model = evaluate_test_images(candidate, data)
    assert run.report == model.report
    assert run.predicted.tolist() == model.predicted.tolist()
    assert run.probabilities.dtype == model.probabilities.dtype == np.float32
    assert run.probabilities.shape == model.probabilities.shape == (1000, 10)
    assert np.abs(run.probabilities - model.probabilities).max() < 1e-4


def test_a_checkpoint_that_contradicts_its_run_is_refused(trained_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained_run, copy)
    config = json.loads((copy / "config.json").read_text())
    config["input"]["width"] = 20
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"takes images of \[28, 28\].*says \[28, 20\]"):
        evaluate_run(copy, load_mini())


def test_another_checkpoint_of_a_run_can_be_judged(trained_run: Path) -> None:
    last = evaluate_run(trained_run.with_name(f"{trained_run.name}@best"), load_mini())
    assert last.report.count == 1000


def test_data_of_another_hash_is_refused() -> None:
    with pytest.raises(DataError, match="--data"):
        load_mini().require_same({"name": "mnist", "sha256": "0" * 64}, owner="run x")


def test_the_selftest_passes_on_a_good_file(model_path: Path) -> None:
    source = ModelSource.read(model_path)
    with open_runtime(source, RuntimeSettings()) as runtime:
        report = run_selftest(runtime, require_contract(runtime.info, name="m"))
    assert report.passed
    assert report.vectors == 16
    assert report.max_abs_logit_error is not None
    assert report.max_abs_logit_error < report.tolerance


@pytest.mark.parametrize("fault", FAULTS)
def test_the_selftest_fails_on_a_broken_file(fault: str, model_path: Path) -> None:
    with open_runtime(source_of(broken(model_path.read_bytes(), fault)), RuntimeSettings()) as runtime:
        report = run_selftest(runtime, require_contract(runtime.info, name="m"))
    assert not report.passed


def test_a_card_without_golden_vectors_cannot_be_tested(model_path: Path) -> None:
    from dataclasses import replace

    with open_runtime(ModelSource.read(model_path), RuntimeSettings()) as runtime:
        card = require_contract(runtime.info, name="m")
        with pytest.raises(ModelError, match="no golden vectors"):
            run_selftest(runtime, replace(card, golden=None))


class Shifted:
    """A runtime whose probabilities, and no other answer, are off by so much."""

    def __init__(self, runtime: Any, *, by: float) -> None:
        self.info, self._runtime, self._by = runtime.info, runtime, by

    def run(self, feeds: Any) -> Any:
        outputs = self._runtime.run(feeds)
        return {**outputs, "probabilities": outputs["probabilities"] + np.float32(self._by)}


def test_selftest_and_parity_allow_probabilities_the_same(model_path: Path) -> None:
    """Half of the logits' bound: a softmax moves by no more."""
    with open_runtime(ModelSource.read(model_path), RuntimeSettings()) as runtime:
        card = require_contract(runtime.info, name="m")
        assert card.golden is not None
        feeds = {"images": np.frombuffer(card.golden.images, np.uint8).reshape(card.golden.shape)}
        for share, is_right in ((0.4, True), (0.75, False)):
            shifted = Shifted(runtime, by=share * card.golden.tolerance)
            judgement = compare_outputs(shifted.run(feeds), np.array(card.golden.logits), bound=card.golden.tolerance)
            report = run_selftest(shifted, card)  # type: ignore[arg-type]  # a fake
            assert (report.passed, bool(judgement)) == (is_right, is_right), share
            assert report.failures[:1] == tuple(f"as one batch: {text}" for text in judgement.failures)


def test_answers_that_are_not_finite_fail_the_selftest(model_path: Path) -> None:
    class Infinite:
        def __init__(self, runtime: Any) -> None:
            self.info = runtime.info
            self._runtime = runtime

        def run(self, feeds: Any) -> Any:
            outputs = self._runtime.run(feeds)
            outputs["logits"] = outputs["logits"] * np.inf
            return outputs

    with open_runtime(ModelSource.read(model_path), RuntimeSettings()) as runtime:
        report = run_selftest(Infinite(runtime), require_contract(runtime.info, name="m"))  # type: ignore[arg-type]  # a fake
    assert not report.passed
    assert report.max_abs_logit_error is None


def test_inspect_says_that_our_file_meets_every_clause(model_path: Path) -> None:
    report = inspect_model(ModelSource.read(model_path))
    assert report.is_ours
    assert len(report.clauses) == 13
    value = report.to_json()
    assert value["meets_contract"] is True
    assert "golden" not in value["card"]
    assert any("Conv" in line for line in report.describe())


def test_a_file_that_gives_one_row_for_several_images_breaks_the_contract(model_path: Path) -> None:
    engine = FakeEngine(outputs={"logits": np.zeros((1, 10), np.float32)})
    report = inspect_model(ModelSource.read(model_path), opener=lambda *_, **__: engine)
    assert not report.is_ours
    assert report.clauses[-1].seen == "batch 2 gives [1] rows"


def test_inspect_describes_a_strangers_file(model_path: Path) -> None:
    import onnx

    model = onnx.ModelProto.FromString(model_path.read_bytes())
    del model.metadata_props[:]
    model.graph.node[0].doc_string = "note"
    report = inspect_model(source_of(model.SerializeToString()))
    assert not report.is_ours
    broken_clauses = {clause.name for clause in report.clauses if not clause.met}
    assert broken_clauses == {"carries a card", "no notes on nodes"}
    assert report.card is None


def test_the_contract_names_the_first_broken_clause(model_path: Path) -> None:
    import onnx

    model = onnx.ModelProto.FromString(model_path.read_bytes())
    entry = next(item for item in model.metadata_props if item.key == CARD_KEY)
    card = Card.loads(entry.value)
    from dataclasses import replace

    entry.value = replace(card, classes=("a",), golden=None).dumps()
    with WorkerRuntime(source_of(model.SerializeToString()), RuntimeSettings()) as runtime:
        assert [clause.met for clause in check_contract(runtime.info)].count(False) == 2
        with pytest.raises(ModelError, match="logits"):
            require_contract(runtime.info, name="m")
