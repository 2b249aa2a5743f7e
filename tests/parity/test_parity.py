"""The matrix passes what is right and fails what is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_models import FAULTS, broken
from hypothesis import given
from hypothesis import strategies as st
from machine import skip_where_cuda_works
from whole_parity import open_here, run_parity

from toolkit.artifacts import ArtifactStore
from toolkit.data.load import load_mini
from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError, ProviderError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity import check, matrix, trial
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import Arithmetics
from toolkit.parity.references.images import Reference, SuiteReference, compute_reference, make_suites, special_images
from toolkit.parity.report import ParityRow, find_worst
from toolkit.parity.rows import summarise_row
from toolkit.parity.trial import make_trial, run_trials
from toolkit.parity.variants import expand_matrix
from toolkit.runs.origin import find_origin
from toolkit.runtimes import agreement
from toolkit.runtimes.agreement import Agreement
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import WorkerRuntime, open_worker

pytestmark = pytest.mark.usefixtures("little_noise")

QUICK = ParityConfig(threads=(0,), optimisations=("all",), sample=200, small_batches=(3,), small_count=20)


def source_of(model: bytes, run: Path | None) -> ModelSource:
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("model.onnx"), run=run)


EMPTY_ROW = ParityRow(
    runtime="ort", provider="cpu", precision="fp32", threads=0, optimisation=None, status="fail", reason=None
)


class AnswersItself:
    """An engine of no arithmetic: images of zeros, answered with the first class."""

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        logits = np.eye(10, dtype=np.float32)[np.zeros(len(feeds["images"]), np.int64)]
        return {"logits": logits, "probabilities": logits, "label": logits.argmax(axis=1)}


@pytest.fixture(scope="module")
def mini() -> Any:
    return load_mini()


def test_torch_and_onnx_runtime_agree_on_every_suite(
    model_path: Path, trained_run: Path, mini: Any, little_noise: int
) -> None:
    config = ParityConfig(threads=(0, 1), optimisations=("all",), sample=300, small_batches=(1, 7), small_count=30)
    report = run_parity(source_of(model_path.read_bytes(), trained_run), mini, config)
    assert report.passed
    assert report.reference == "pytorch-float64"
    assert report.baseline == "torch float32"
    assert [(row.runtime, row.threads, row.optimisation) for row in report.rows] == [
        ("torch", 0, None),
        ("torch", 1, None),
        ("ort", 0, "all"),
        ("ort", 1, "all"),
    ]
    for row in report.rows:
        assert set(row.suites) == {"test", "noise", "special", "golden"}
        assert row.images == 300 + little_noise + 10 + 16
        assert row.batch_sizes == (64, 1, 7)
        assert row.label_consistent
        assert row.max_abs_logit_error is not None
        assert row.bound is not None
        assert 0 < row.max_abs_logit_error < row.bound
    value = report.to_json()
    assert value["schema"] == "toolkit/parity/1"
    json.dumps(value, allow_nan=False)


def test_an_engine_that_is_slow_takes_a_sample_and_its_row_says_so(
    model_path: Path, mini: Any, little_noise: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SLOW_IMAGES_PER_S", float("inf"))
    monkeypatch.setattr(trial, "SLOW_SAMPLE", 30)
    report = run_parity(source_of(model_path.read_bytes(), None), mini, QUICK, opener=open_here)
    (row,) = report.rows
    assert row.status == "pass"
    assert row.reason == "slow: 30 of 200 test images, evenly spaced"
    assert {name: suite["images"] for name, suite in row.suites.items()} == {
        "test": 30,
        "noise": little_noise,
        "special": 10,
        "golden": 16,
    }


@pytest.mark.parametrize(("rate", "counts"), [(60.0, [514, 514, 514]), (40.0, [2, 4, 258])])
def test_a_very_slow_engine_runs_each_small_batch_once_and_a_rest(
    rate: float, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TVM takes 5 float16 images a second: 514 of them at each of five batch sizes would take minutes."""
    images, logits = np.zeros((2000, 4, 4), np.uint8), np.eye(10)[np.arange(2000) % 10]
    entry = SuiteReference(name="test", images=images, logits=logits, bound=1e-3)
    monkeypatch.setattr(trial, "_images_per_s", lambda *_: rate)
    trials = trial.image_trials(
        AnswersItself(), Reference(kind="x", suites=(entry,)), config=ParityConfig(small_batches=(1, 3, 257))
    )
    outcomes = run_trials(AnswersItself(), trials)
    row = summarise_row(EMPTY_ROW, outcomes, settings=RuntimeSettings())
    assert [len(item.trial.expected) for item in outcomes] == [1000, *counts]
    words = "slow: 1,000 of 2,000 test images, evenly spaced; "
    assert str(row.reason).startswith(f"{words}other batch sizes on a batch and one image; " if rate < 50 else words)


def test_a_slow_engine_is_judged_on_images_from_the_whole_test_set() -> None:
    images = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    logits = np.eye(10) * 4
    entry = SuiteReference(name="test", images=images, logits=logits, bound=1e-3)
    chosen = entry[np.array([0, 4, 9])]
    assert chosen.images[:, 0, 0].tolist() == [0, 4, 9]
    assert chosen.logits.argmax(axis=1).tolist() == [0, 4, 9]
    assert chosen.bound == entry.bound


@pytest.mark.parametrize("fault", ["standard deviation doubled", "one weight changed by 1 %"])
def test_without_its_run_a_broken_file_still_differs_from_its_golden_vectors(
    fault: str, model_path: Path, mini: Any
) -> None:
    report = run_parity(source_of(broken(model_path.read_bytes(), fault), None), mini, QUICK, opener=open_here)
    assert not report.passed
    assert "golden at batch" in str(report.rows[0].reason)


def test_a_device_asked_for_by_name_is_refused_for_torch_too(model_path: Path, trained_run: Path, mini: Any) -> None:
    skip_where_cuda_works()
    source = source_of(model_path.read_bytes(), trained_run)
    with pytest.raises(ProviderError, match="device cuda"):
        run_parity(source, mini, ParityConfig(runtimes=("torch",), providers=("cuda",), sample=10))
    with pytest.raises(UsageError, match="none of torch runs on tensorrt"):
        run_parity(source, mini, ParityConfig(runtimes=("torch",), providers=("tensorrt",), sample=10))


def test_what_was_asked_for_by_name_fails_where_it_is_absent_and_what_came_from_all_is_skipped(
    model_path: Path, mini: Any, monkeypatch: pytest.MonkeyPatch, good_reference: Reference
) -> None:
    skip_where_cuda_works()
    monkeypatch.setattr(check, "compute_reference", lambda *_, **__: good_reference)
    source = source_of(model_path.read_bytes(), None)
    for providers, status in ((("cuda",), "fail"), (("all",), "skip")):
        config = ParityConfig(runtimes=("ort",), providers=providers, sample=128, small_batches=(3,), small_count=6)
        variant = next(item for item in expand_matrix(config, has_run=False) if item.settings.provider == "cuda")
        arithmetics = Arithmetics(source=source, precision="fp32", reference=good_reference, opener=open_worker)
        row = matrix._judge_variant(variant, arithmetics=arithmetics, config=config)
        assert (row.status, row.provider) == (status, "cuda")
        assert "cuda" in str(row.reason)


def test_a_servers_provider_is_its_own_choice() -> None:
    asked = {"at": "http://127.0.0.1:8000", "providers": ("cuda", "cpu")}
    with pytest.raises(UsageError, match=r"runtime oip-http has no provider cuda: .* leave --provider out"):
        expand_matrix(ParityConfig(runtimes=("oip-http", "oip-json"), **asked), has_run=False)
    rows = expand_matrix(ParityConfig(runtimes=("ort", "oip-http"), **asked), has_run=False)
    assert {row.settings.provider for row in rows} == {"cuda", "cpu", "remote"}


def test_a_fallback_row_says_what_was_asked_for_and_why(model_path: Path, mini: Any) -> None:
    skip_where_cuda_works()
    config = ParityConfig(
        runtimes=("ort",),
        providers=("cuda",),
        optimisations=("all",),
        sample=64,
        small_batches=(1,),
        small_count=2,
        allow_fallback=True,
    )
    (row,) = run_parity(source_of(model_path.read_bytes(), None), mini, config).rows
    assert (row.status, row.provider, row.fallback) == ("pass", "cpu", True)
    assert str(row.reason).startswith("asked for cuda; ")


@pytest.fixture(scope="module")
def good_reference(model_path: Path, trained_run: Path, mini: Any) -> Reference:
    """The reference of the good file, computed once: it is the same for every broken copy."""
    suites = make_suites(mini.test.images, sample=128)
    return compute_reference(source_of(model_path.read_bytes(), trained_run), suites, precision="fp32")


def test_a_file_does_not_raise_its_own_bound(model_path: Path, mini: Any) -> None:
    suites = make_suites(mini.test.images, sample=8)
    source = source_of(broken(model_path.read_bytes(), "standardisation without the mean"), None)
    own = compute_reference(source, suites, precision="fp32").suites
    held = compute_reference(source, suites, precision="fp32", stated=own[0].bound / 10).suites
    assert held[0].bound == pytest.approx(0.4 * own[0].bound)
    assert [entry.bound for entry in held[1:]] == [entry.bound for entry in own[1:]]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_file_fails(
    fault: str,
    model_path: Path,
    trained_run: Path,
    mini: Any,
    good_reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = ParityConfig(
        runtimes=("ort",), threads=(0,), optimisations=("all",), sample=128, small_batches=(7,), small_count=20
    )
    monkeypatch.setattr(check, "compute_reference", lambda *_, **__: good_reference)
    report = run_parity(source_of(broken(model_path.read_bytes(), fault), trained_run), mini, config, opener=open_here)
    assert not report.passed
    assert report.rows[0].status == "fail"
    assert report.rows[0].reason


def test_a_provider_that_is_not_active_ends_before_anything_is_measured(
    model_path: Path, trained_run: Path, mini: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_where_cuda_works()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the reference was computed although the provider is not active")

    monkeypatch.setattr(check, "compute_reference", never)
    config = ParityConfig(providers=("cpu", "cuda"), sample=10)
    with pytest.raises(ProviderError, match="provider cuda"):
        run_parity(source_of(model_path.read_bytes(), trained_run), mini, config)


def test_without_its_run_the_files_own_graph_is_the_reference_and_what_is_absent_is_skipped(
    model_path: Path, mini: Any
) -> None:
    config = ParityConfig(
        runtimes=("ort", "torch"),
        providers=("all",),
        threads=(0,),
        optimisations=("all",),
        sample=64,
        small_batches=(1,),
        small_count=2,
    )
    report = run_parity(source_of(model_path.read_bytes(), None), mini, config, opener=open_here)
    assert report.reference == "onnx-float64"
    rows = {row.provider: row for row in report.rows if row.runtime == "ort"}
    assert set(rows) == {"cpu", "cuda", "tensorrt", "openvino"}
    assert rows["cpu"].status == "pass"
    assert set(rows["cpu"].suites) == {"test", "noise", "special", "golden"}
    assert all(row.reason for row in report.rows if row.status == "skip")
    needs_a_run = {(row.status, row.reason) for row in report.rows if row.runtime == "torch" and row.provider == "cpu"}
    assert needs_a_run == {("skip", "no run: this runtime executes the run's own network")}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"runtimes": ("otr",)}, "did you mean 'ort'"), ({"providers": ("cdua",)}, "did you mean 'cuda'")],
)
def test_unknown_names_suggest_the_nearest(change: dict[str, Any], words: str, model_path: Path, mini: Any) -> None:
    with pytest.raises(UsageError, match=words):
        run_parity(source_of(model_path.read_bytes(), None), mini, ParityConfig(**change))


def test_a_crash_or_a_hang_is_a_failed_row_with_its_log(
    model_path: Path, mini: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 37, with engines that really crash and really hang, in real processes."""
    from toolkit.runtimes import registry

    (tmp_path / "bad_engines.py").write_text(BAD_ENGINES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(REGISTER_THEM)
    for name in ("crashes", "hangs", "forgets"):
        entry = registry.RuntimeEntry("bad_engines", name.title(), "numpy", "nothing")
        monkeypatch.setitem(registry.RUNTIMES, name, entry)
    config = ParityConfig(
        runtimes=("crashes", "hangs", "forgets", "ort"),
        threads=(0,),
        optimisations=("all",),
        sample=64,
        small_batches=(1,),
        small_count=2,
    )

    def open_bad(source: ModelSource, settings: RuntimeSettings, **options: Any) -> WorkerRuntime:
        # Only who hangs is waited for; the others take as long as the machine lets them.
        return WorkerRuntime(source, settings, **options | ({"timeout_s": 5} if settings.runtime == "hangs" else {}))

    report = run_parity(source_of(model_path.read_bytes(), None), mini, config, opener=open_bad)
    rows = {row.runtime: row for row in report.rows}
    assert {name: row.status for name, row in rows.items()} == {
        "crashes": "fail",
        "hangs": "fail",
        "forgets": "fail",
        "ort": "pass",
    }
    assert "SIGSEGV" in str(rows["crashes"].reason)
    assert "last words" in str(rows["crashes"].log)
    assert "hung" in str(rows["hangs"].reason)
    assert "outputs are" in str(rows["forgets"].reason)


# Runs when the worker's interpreter starts: the parent's registry is not the worker's.
REGISTER_THEM = """
from toolkit.runtimes import registry
for name in ("crashes", "hangs", "forgets"):
    registry.RUNTIMES[name] = registry.RuntimeEntry("bad_engines", name.title(), "numpy", "nothing")
"""

BAD_ENGINES = """
import os, signal, time
from toolkit.runtimes.ort.runtime import OrtRuntime

class Crashes(OrtRuntime):
    def compute(self, feeds):
        os.write(2, b"last words\\n")
        os.kill(os.getpid(), signal.SIGSEGV)

class Hangs(OrtRuntime):
    def compute(self, feeds):
        time.sleep(600)

class Forgets(OrtRuntime):
    def compute(self, feeds):
        outputs = super().compute(feeds)
        del outputs["label"]
        return outputs
"""


# The judge, on answers made by hand.
K = 3


def reference_of(logits: np.ndarray, bound: float = 0.01) -> SuiteReference:
    images = np.zeros((len(logits), 2, 2), np.uint8)
    return SuiteReference(name="test", images=images, logits=logits.astype(np.float64), bound=bound)


def compare_outputs(outputs: dict[str, np.ndarray], reference: SuiteReference) -> Agreement:
    return agreement.compare_outputs(outputs, reference.logits, bound=reference.bound)


def answers(logits: np.ndarray) -> dict[str, np.ndarray]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return {
        "logits": logits.astype(np.float32),
        "probabilities": (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32),
        "label": logits.astype(np.float32).argmax(axis=1),
    }


@given(st.integers(1, 20), st.integers(0, 1000))
def test_answers_compared_with_themselves_pass(count: int, seed: int) -> None:
    logits = np.random.default_rng(seed).standard_normal((count, K)).astype(np.float32)
    agreement = compare_outputs(answers(logits), reference_of(logits))
    assert agreement
    assert agreement.max_abs_logit_error == 0
    assert agreement.flips == 0


@given(st.floats(0.011, 5), st.integers(0, 4), st.integers(0, 2))
def test_one_logit_outside_the_bound_fails(amount: float, row: int, column: int) -> None:
    logits = np.random.default_rng(0).standard_normal((5, K))
    wrong = logits.copy()
    wrong[row, column] += amount
    agreement = compare_outputs(answers(wrong), reference_of(logits))
    assert not agreement
    assert agreement.worst_index == row


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda out: out.pop("label"), "`label` is missing"),
        (lambda out: out.update(extra=out["label"]), "not part of the contract"),
        (lambda out: out.update(label=out["label"].astype(np.int32)), "int32"),
        (lambda out: out.update(logits=out["logits"][:, :2]), r"\[4, 2\]"),
        (lambda out: out["logits"].__setitem__((2, 0), np.nan), "not finite for 1 image, first image 2"),
        (lambda out: out["probabilities"].__setitem__((1, 1), np.inf), "`probabilities` is not finite"),
        (lambda out: out.update(label=(out["label"] + 1) % K), "argmax"),
        (lambda out: out["probabilities"].__setitem__((0, 0), 0.5), "`probabilities` differ"),
    ],
)
def test_every_kind_of_failure_is_named(change: Any, words: str) -> None:
    logits = np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [5, 1, 0]])
    outputs = answers(logits)
    change(outputs)
    agreement = compare_outputs(outputs, reference_of(logits))
    assert not agreement
    import re

    assert re.search(words, " ".join(agreement.failures))


@pytest.mark.parametrize("name", ["logits", "probabilities", "label"])
def test_the_worst_item_is_the_one_that_shows_the_failure(name: str) -> None:
    logits = np.random.default_rng(2).normal(0, 4, (6, 4))
    outputs = answers(logits)
    outputs["logits"][1] += np.float32(1e-3)  # the largest error, within the bound
    outputs[name][4] = (outputs["label"][4] + 1) % 4 if name == "label" else np.nan
    agreement = compare_outputs(outputs, reference_of(logits))
    assert not agreement
    assert agreement.worst_index == 4


def test_a_call_that_is_refused_or_short_is_the_worst_sample() -> None:
    logits = np.random.default_rng(2).normal(0, 4, (7, 4))
    trial = make_trial(reference_of(logits), 3)

    class Baked:
        """Refuses or pads the rest, a single image."""

        def __init__(self, *, refuses: bool) -> None:
            self.refuses, self.calls = refuses, 0

        def run(self, feeds: Any) -> dict[str, np.ndarray]:
            count, start = len(feeds["images"]), 3 * self.calls
            self.calls += 1
            if count == 1 and self.refuses:
                raise ModelError("not one")
            return answers(np.resize(logits[start : start + count], (3, 4)))

    for refuses in (True, False):
        outcomes = run_trials(Baked(refuses=refuses), [trial])
        assert not outcomes[0].agreement
        worst = find_worst(outcomes, RuntimeSettings())
        assert (worst.index, len(worst.expected)) == (6, 1)


def test_a_flip_is_excused_only_where_the_reference_hardly_decides() -> None:
    close, clear = np.array([[1.0, 1.0 - 0.015, 0]]), np.array([[1.0, 1.0 - 0.025, 0]])
    swap = np.array([[-0.009, 0.009, 0]])
    excused = compare_outputs(answers(close + swap), reference_of(close))
    assert excused
    assert (excused.flips, excused.flips_excused) == (1, 1)
    outputs = answers(clear)
    outputs["label"] = np.array([1])
    not_excused = compare_outputs(outputs, reference_of(clear))
    assert (not_excused.flips, not_excused.flips_excused) == (1, 0)
    assert "1 label differs" in " ".join(not_excused.failures)


def test_special_images_hold_the_extremes() -> None:
    for shape in ((28, 28), (20, 16, 3)):
        images = special_images(shape)
        assert images.shape[1:] == shape
        assert images.dtype == np.uint8
        assert {(int(image.min()), int(image.max())) for image in images} >= {(0, 0), (255, 255), (0, 255)}


def test_suites_are_the_same_every_time_and_a_sample_is_spread() -> None:
    test = np.arange(1000 * 4, dtype=np.uint32).astype(np.uint8).reshape(1000, 2, 2)
    first, second = make_suites(test, sample=10), make_suites(test, sample=10)
    assert list(first) == list(second) == ["test", "noise", "special"]
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert len(first["test"]) == 10
    assert np.array_equal(first["test"][-1], test[-1])
    assert len(make_suites(test, sample=None)["test"]) == 1000


def test_the_origin_is_found_by_hash_past_damaged_runs(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"sha256": "11"}')):
        folder = tmp_path / "runs" / name / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "last.json").write_text(text)
    store = ArtifactStore(root=tmp_path)
    assert find_origin("11", store=store) == tmp_path / "runs" / "c"
    assert find_origin("22", store=store) is None


@pytest.mark.parametrize("change", [{"sample": 0}, {"small_count": 0}, {"small_batches": (0,)}])
def test_counts_below_one_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ParityConfig(**change)
