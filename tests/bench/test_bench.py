"""A benchmark's decisions: what is expanded, refused, skipped, failed and marked; and real rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench_samples import QUICK, make_config, make_opener, make_source, run_bench
from fake_engine import FakeEngine, make_info
from rich.console import Console
from strangers import STRANGERS, make_stranger
from tiny_models import build_card, build_model, save_model

from toolkit.artifacts import ArtifactStore
from toolkit.bench.config import BenchConfig
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.rows import rows_csv, samples_csv
from toolkit.bench.sweep import prepare_bench
from toolkit.card import Golden
from toolkit.durable import sha256_bytes, write_json
from toolkit.errors import ModelError, ProviderError, ResourceError, UsageError, WorkerError, WrongAnswerError
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress
from toolkit.render.bench import render_bench
from toolkit.runs.origin import find_origin_run
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.workers.client import WorkerRuntime

GOLDEN = Golden(
    origin="synthetic",
    images=bytes(range(192)),
    shape=(3, 8, 8),
    logits=((0.0, 1.0, 2.0),) * 3,
    tolerance=1e-4,
)
NOT_ACTIVE = ProviderError(
    "provider cuda is not active: libcublasLt.so.13: cannot open; get it with: pip install x[cuda]"
)


def _rows(
    config: BenchConfig, behaviour: dict[tuple[str, str], Any] | None = None, **source: Any
) -> tuple[BenchRow, ...]:
    return run_bench(config, make_source(**source), opener=make_opener(behaviour or {})).rows


def _told(rows: tuple[BenchRow, ...]) -> list[tuple[str, str, str]]:
    return [(row.runtime, row.provider_requested, row.status) for row in rows]


# --- strictness --------------------------------------------------------------------------------------------------


def test_named_provider_that_is_not_active_ends_everything_before_any_measurement() -> None:
    cpu = FakeEngine()
    with pytest.raises(ProviderError, match=r"libcublasLt\.so\.13"):
        _rows(make_config(providers=("cpu", "cuda")), {("ort", "cpu"): cpu, ("ort", "cuda"): NOT_ACTIVE})
    assert cpu.fed == []


def test_named_provider_that_opens_but_cannot_run_is_refused_too() -> None:
    # cuDNN is loaded by the first convolution: opening proves nothing.
    engine = FakeEngine(make_info("cuda"), run_error=ModelError("ONNX Runtime failed: CUDNN_STATUS_NOT_INITIALIZED"))
    with pytest.raises(ProviderError, match=r"provider cuda opens but cannot run this model: .*CUDNN"):
        _rows(make_config(providers=("cuda",)), {("ort", "cuda"): engine})


def test_all_skips_what_is_not_there_and_says_why() -> None:
    rows = _rows(make_config(providers=("all",)), {("ort", "cuda"): NOT_ACTIVE, ("ort", "tensorrt"): NOT_ACTIVE})
    assert _told(rows) == [
        ("ort", "cpu", "pass"),
        ("ort", "cuda", "skip"),
        ("ort", "tensorrt", "skip"),
        ("ort", "openvino", "pass"),
    ]
    assert "libcublasLt.so.13" in rows[1].reason
    assert rows[1].latency_ms is None


def test_all_does_not_excuse_a_provider_named_beside_it() -> None:
    with pytest.raises(ProviderError):
        _rows(make_config(providers=("all", "cuda")), {("ort", "cuda"): NOT_ACTIVE})


def test_auto_measures_the_first_that_works_and_says_what_it_passed_over() -> None:
    rows = _rows(make_config(providers=("auto",)), {("ort", "cuda"): NOT_ACTIVE})
    assert _told(rows) == [("ort", "cuda", "skip"), ("ort", "openvino", "pass")]
    assert _told(_rows(make_config(providers=("auto",)))) == [("ort", "cuda", "pass")]


def test_crash_while_opening_is_a_failed_row_even_for_all() -> None:
    crash = WorkerError("the engine crashed with SIGSEGV during 'load'", log="last words")
    rows = _rows(make_config(providers=("all",)), {("ort", "openvino"): crash})
    assert _told(rows)[-1] == ("ort", "openvino", "fail")
    assert rows[-1].log == "last words"


def test_an_engine_that_does_not_take_the_file_refuses_it_and_only_a_named_one_fails_the_benchmark() -> None:
    refusal = {("tract", "cpu"): ModelError("tract refuses the model: no such operator")}
    for runtimes, problem in ((("ort", "tract"), "1 of 2 rows failed: tract refuses the model"), (("ort", "all"), "")):
        report = run_bench(make_config(runtimes=runtimes), make_source(), opener=make_opener(refusal))
        assert ("tract", "cpu", "refused") in _told(report.rows)
        assert report.problem.startswith(problem)
        assert bool(report.problem) == bool(problem)
    wrong = {("tract", "cpu"): WrongAnswerError("output 'y' is float64 [2]; expected float32 [2]")}
    assert ("tract", "cpu", "fail") in _told(_rows(make_config(runtimes=("ort", "all")), wrong))


def test_fallback_marks_every_row_with_its_reason() -> None:
    info = make_info("cpu", fallback=True, details={"fallback_reason": "provider cuda is not active: no lib"})
    rows = _rows(
        make_config(providers=("cuda",), batches=(1, 2), allow_fallback=True), {("ort", "cuda"): FakeEngine(info)}
    )
    assert [(row.provider_requested, row.provider_active, row.fallback, row.batch) for row in rows] == [
        ("cuda", "cpu", True, 1),
        ("cuda", "cpu", True, 2),
    ]
    assert all("no lib" in row.reason for row in rows)


def test_permission_to_fall_back_reaches_the_engine_only_when_given() -> None:
    seen: list[bool] = []

    def note_settings(settings: RuntimeSettings) -> FakeEngine:
        seen.append(settings.allow_fallback)
        return FakeEngine()

    for allowed in (False, True):
        _rows(make_config(allow_fallback=allowed), {("ort", "cpu"): note_settings})
    # Each time the trial of made inputs, which asks for no provider, then the probe, then the rows.
    assert set(seen[:4]) == {False}
    assert set(seen[4:]) == {True}


def test_runtime_that_needs_a_run_is_skipped_for_all_and_refused_by_name(tmp_path: Path) -> None:
    rows = _rows(make_config(runtimes=("all",)))
    assert _told(rows)[:2] == [("ort", "cpu", "pass"), ("torch", "cpu", "skip")]
    assert [row.runtime for row in rows if row.status == "skip"] == ["torch", "torch-compile"]
    assert rows[1].reason.startswith("no run")
    with pytest.raises(ModelError, match="no run"):
        _rows(make_config(runtimes=("torch",)))
    assert _told(_rows(make_config(runtimes=("torch",)), run=tmp_path)) == [("torch", "cpu", "pass")]


@pytest.mark.parametrize("word", ["auto", "all"])
def test_runtime_without_a_run_is_one_skipped_row_whatever_its_providers(word: str) -> None:
    rows = _rows(make_config(runtimes=("all",), providers=(word,)))
    assert [row.status for row in rows if row.runtime == "torch"] == ["skip"]


def test_runtime_that_is_not_installed_is_skipped_for_all_and_refused_by_name(tmp_path: Path) -> None:
    missing = ResourceError("runtime torch needs torch: No module named 'torch'; install it with: pip install torch")
    behaviour = {("torch", "cpu"): missing}
    assert _told(_rows(make_config(runtimes=("all",)), behaviour, run=tmp_path))[1] == ("torch", "cpu", "skip")
    with pytest.raises(ResourceError, match="pip install torch"):
        _rows(make_config(runtimes=("ort", "torch")), behaviour, run=tmp_path)


def test_model_that_no_engine_takes_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="no such operator"):
        _rows(make_config(), {("ort", "cpu"): ModelError("no such operator")})


def test_model_that_one_engine_refuses_is_its_refused_row(tmp_path: Path) -> None:
    rows = _rows(make_config(runtimes=("ort", "torch")), {("torch", "cpu"): ModelError("NaN weights")}, run=tmp_path)
    assert _told(rows) == [("ort", "cpu", "pass"), ("torch", "cpu", "refused")]


def test_precision_that_the_file_does_not_have_is_refused() -> None:
    metadata = {"toolkit.card": build_card(precision="int8").dumps()}
    behaviour = {("ort", "cpu"): FakeEngine(metadata=metadata)}
    assert _rows(make_config(), behaviour)[0].precision == "int8"
    assert _rows(make_config(precisions=("int8",)), behaviour)[0].precision == "int8"
    with pytest.raises(
        UsageError,
        match=r"the file is int8, not fp16, and there is no tiny\.fp16\.onnx beside it; make it with: toolkit export",
    ):
        _rows(make_config(precisions=("fp16",)), behaviour)


# --- the sweep ---------------------------------------------------------------------------------------------------


def test_crash_in_one_row_fails_that_row_and_the_rest_goes_on() -> None:
    crash = WorkerError("the engine crashed with SIGSEGV during 'measure'", log="core dumped")
    opened: list[FakeEngine] = []

    def open_one(_: RuntimeSettings) -> FakeEngine:
        opened.append(FakeEngine(measure_error=crash, failing_batch=2))
        return opened[-1]

    report = run_bench(make_config(batches=(1, 2, 3)), make_source(), opener=make_opener({("ort", "cpu"): open_one}))
    assert len(opened) == 4  # the trial, the probe, the rows, and another worker after the crash
    assert [(row.batch, row.status) for row in report.rows] == [(1, "pass"), (2, "fail"), (3, "pass")]
    assert report.rows[1].log == "core dumped"
    assert "SIGSEGV" in report.rows[1].reason
    assert report.failed == (report.rows[1],)
    assert report.to_json()["passed"] is False


def test_every_combination_is_one_row() -> None:
    rows = _rows(make_config(batches=(1, 4), threads=(0, 2), providers=("cpu", "cuda")))
    assert [(row.provider_requested, row.threads, row.batch) for row in rows] == [
        (provider, threads, batch) for provider in ("cpu", "cuda") for threads in (0, 2) for batch in (1, 4)
    ]


def test_progress_is_told_row_by_row_and_moves_inside_a_row() -> None:
    told: list[tuple[str, float, float | None]] = []

    @contextmanager
    def show(label: str, *, unit: str = "") -> Iterator[ShowProgress]:
        yield lambda done, total: told.append((unit, done, total))

    config, opener = make_config(batches=(1, 2)), make_opener({})
    prepare_bench(config, make_source(), command="c", opener=opener, show=show).measure()
    assert told[0] == ("engines", 0, 1)
    assert {(unit, total) for unit, _, total in told[1:]} == {("rows", 2)}
    done = [part for _, part, _ in told[1:]]
    assert done == sorted(done)
    assert {0, 1, 2} <= {*done}
    assert any(0 < part < 1 for part in done)
    assert any(1 < part < 2 for part in done)


def test_golden_images_of_the_card_are_what_is_measured() -> None:
    engine = FakeEngine(metadata={"toolkit.card": build_card(golden=GOLDEN).dumps()})
    (row,) = _rows(make_config(batches=(2,)), {("ort", "cpu"): engine})
    assert row.settings["feeds"] == "golden"
    assert engine.fed[0]["images"].tobytes() == bytes(range(128))


def test_row_holds_every_key_of_the_contract() -> None:
    report = run_bench(make_config(), make_source(), command="toolkit bench", opener=make_opener({}))
    value = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert value["schema"] == "toolkit/bench/1"
    size = len(make_source().model)
    assert value["model"] == {"path": "tiny.onnx", "sha256": make_source().sha256, "size_bytes": size}
    assert value["command"] == "toolkit bench"
    assert value["environment"]["cpu"]["logical_cores"]
    (row,) = value["rows"]
    keys = "runtime provider_requested provider_active fallback precision batch threads scenario settings samples latency_ms"
    assert {*keys.split(), "throughput_items_per_s", "stable", "cold", "status", "reason"} <= set(row)
    assert {"mean", "p50", "p90", "p95", "p99", "p99.9"} <= set(row["latency_ms"])
    assert row["cold"] == {"import_ms": 30.0, "load_ms": 20.0, "first_run_ms": 5.0}
    assert row["latency_ms"]["p50"] == 1
    assert row["latency_ms"]["p99"] is None
    assert row["throughput_items_per_s"] == pytest.approx(1000)
    assert row["ci95"]["p50"] == [1, 1]
    assert row["ci95"]["throughput_items_per_s"] == pytest.approx([1000, 1000])
    assert (row["scenario"], row["stable"], row["samples"]) == ("single-stream", True, 40)


# --- real rows ---------------------------------------------------------------------------------------------------


def test_real_sweep_measures_a_model_of_ours_with_its_golden_images(tmp_path: Path) -> None:
    source = ModelSource.read(save_model(tmp_path / "tiny.onnx", golden=GOLDEN))
    rows = run_bench(BenchConfig(plan=QUICK, batches=(1, 16), threads=(1,)), source).rows
    assert [(row.batch, row.status, row.settings["feeds"]) for row in rows] == [
        (1, "pass", "golden"),
        (16, "pass", "golden"),
    ]
    for row in rows:
        assert row.samples is not None
        assert row.samples >= 40
        assert row.settings["placement"] == {"cpu": 5}
        assert row.latency_ms is not None
        assert 0 < row.latency_ms["min"] <= row.latency_ms["p50"] <= row.latency_ms["max"]  # type: ignore[operator]
        assert row.latency_ms["p99.9"] is None
        assert row.cold is not None
        assert all(value > 0 for value in row.cold.values())


def test_real_strangers_file_is_measured_with_random_inputs() -> None:
    (row,) = run_bench(BenchConfig(plan=QUICK), make_source(build_model(batch=4))).rows
    assert (row.batch, row.settings["feeds"], row.precision) == (4, "random", "fp32")


@pytest.mark.parametrize(
    "name", ["two inputs", *(pytest.param(name, marks=pytest.mark.slow) for name in STRANGERS if name != "two inputs")]
)
def test_real_strangers_of_every_kind_are_measured(tmp_path: Path, name: str) -> None:
    source = ModelSource.read(make_stranger(tmp_path / "stranger.onnx", name))
    shapes = {"ids": (2, 7)} if name == "token ids" else {}
    for row in run_bench(BenchConfig(plan=QUICK, feeds=FeedConfig(shapes=shapes)), source).rows:
        assert (row.status, row.settings["feeds"]) == ("pass", "random")
        assert row.samples is not None
        assert row.samples >= 40
        assert row.ci95 is not None
        assert row.latency_ms is not None
        low, high = row.ci95["p50"]
        assert low <= row.latency_ms["p50"] <= high  # type: ignore[operator]


def test_real_hang_is_a_failed_row() -> None:
    def impatient(source: ModelSource, settings: RuntimeSettings, **_: Any) -> Any:
        return WorkerRuntime(source, settings, timeout_s=1.5)

    plan = MeasurePlan(warmup_calls=0, warmup_s=0, min_calls=10**9, min_s=60, max_s=60)
    (row,) = run_bench(make_config(plan=plan), make_source(), opener=impatient).rows
    assert row.status == "fail"
    assert "hung for 1.5 s" in row.reason


# --- the run behind a file, the table ----------------------------------------------------------------------------


def test_run_is_found_by_the_checkpoint_that_the_card_names(tmp_path: Path) -> None:
    store = ArtifactStore(root=tmp_path)
    for name, digest in (("first", "a" * 64), ("second", "b" * 64)):
        write_json(tmp_path / "runs" / name / "checkpoints" / "last.json", {"sha256": digest})
    write_json(tmp_path / "runs" / "odd" / "checkpoints" / "last.json", ["not a table"])
    for digest, expected in (("b" * 64, tmp_path / "runs" / "second"), ("c" * 64, None)):
        model = build_model(card=build_card(checkpoint_sha256=digest)).SerializeToString()
        source = ModelSource(model=model, sha256=sha256_bytes(model), path=tmp_path / "m.onnx")
        # A card beside the file is not believed: it may belong to another model.
        (tmp_path / "m.card.json").write_text(build_card(checkpoint_sha256="a" * 64).dumps())
        assert find_origin_run(source, store=store) == expected
    bare = build_model().SerializeToString()
    assert find_origin_run(ModelSource(model=bare, sha256="", path=tmp_path / "m.onnx"), store=store) is None


def _text(report: BenchReport) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(*render_bench(report), sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_table_shows_fallbacks_skips_and_unstable_rows_with_their_brackets() -> None:
    moved = BenchRow(
        runtime="ort", provider_requested="cuda", provider_active="cpu", fallback=True, precision="fp32", batch=1, threads=0,
        samples=33, latency_ms={"mean": 0.5, "p50": 12.25, "p90": None}, throughput_items_per_s=2000.0, stable=False,
        spread=0.25, cold={"first_run_ms": 7.0}, reason="no lib",
    )  # fmt: skip
    skipped = BenchRow(
        runtime="ort", provider_requested="cuda", precision="fp32", status="skip", reason="pip install x[cuda,cudnn]"
    )
    shaky = BenchRow(
        **{**{name: getattr(moved, name) for name in moved.__dataclass_fields__}, "fallback": False, "reason": ""}
    )
    text = _text(
        BenchReport(command="c", environment={}, model={"path": "m.onnx", "sha256": ""}, rows=(moved, skipped, shaky))
    )
    assert "cpu (fallback)" in text
    assert "12.25" in text
    assert "ort on cuda, fp32, batch 1: FALLBACK: it ran on cpu, no lib" in text
    assert "not run: ort on cuda (pip install x[cuda,cudnn])" in text
    assert text.count("no, 25%") == 2
    assert "too few calls" in text


def test_rows_and_samples_as_csv() -> None:
    engine = FakeEngine(measure_error=WorkerError("it died", log=""), failing_batch=2)
    report = run_bench(make_config(batches=(1, 2)), make_source(), opener=make_opener({("ort", "cpu"): engine}))
    assert [row.status for row in report.rows] == ["pass", "fail"]
    rows = list(csv.DictReader(io.StringIO(rows_csv(report))))
    assert [row["status"] for row in rows] == [row.status for row in report.rows]
    first = report.rows[0]
    assert first.latency_ms is not None
    assert first.ci95 is not None
    assert float(rows[0]["p50_ms"]) == first.latency_ms["p50"]
    assert float(rows[0]["throughput_items_per_s_low"]) == first.ci95["throughput_items_per_s"][0]
    assert rows[0]["p99_ms"] == rows[0]["p99_low"] == ""
    samples = list(csv.DictReader(io.StringIO(samples_csv(report))))
    assert len(samples) == sum(row.samples or 0 for row in report.rows)
    assert first.samples_ns is not None
    assert [int(line["latency_ns"]) for line in samples if line["row"] == "0"] == first.samples_ns.tolist()
    assert "samples_ns" not in first.to_json()
