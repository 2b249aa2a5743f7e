"""Smaller parts of the benchmark: LoadGen's trace, files of other precisions, the picture, pages of many results."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_samples import make_config, make_opener, make_row, make_source, run_bench
from fake_engine import FakeEngine, make_info
from PIL import Image
from tiny_models import build_card, build_model, save_model

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.variants import NoPrecisionError, find_precision_file
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.rows import QUANTILES
from toolkit.errors import DataError, ModelError, ResourceError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.plots.bench import draw_bench
from toolkit.render.bench import render_bench
from toolkit.render.report import Part, render_page
from toolkit.runtimes.providers import DeviceOptions
from toolkit.runtimes.timing.loadgen import read_trace, run_loadgen
from toolkit.runtimes.timing.plan import MeasurePlan

# --- LoadGen's trace ---------------------------------------------------------------------------------------------


def _event(query: int, sample: int, start_us: float, taken_ns: int) -> str:
    told = {"sample_seq": sample, "query_seq": query, "sample_idx": 0, "issue_start_ns": 0, "complete_ns": taken_ns}
    event = {"name": "Sample", "cat": "default", "ph": "b", "pid": 1, "id": sample, "ts": start_us, "args": told}
    return json.dumps(event, separators=(",", ":")) + ",\n"


def test_trace_of_single_stream_has_a_sample_for_each_query() -> None:
    text = '{"traceEvents":[\n' + _event(0, 0, 10.0, 3_000) + _event(1, 1, 15.0, 4_000) + '{"name":"Waiting"}\n'
    loop = read_trace(text, "single-stream")
    assert loop.samples == [3_000, 4_000]
    assert loop.gaps == [3_000, 6_000]  # from the first issue to the answer at 13 us, and from there to 19 us


def test_query_of_several_samples_ends_with_the_last_of_them() -> None:
    text = _event(0, 0, 0.0, 1_000) + _event(0, 1, 0.0, 5_000) + _event(1, 2, 6.0, 2_000) + _event(1, 3, 6.0, 3_000)
    assert read_trace(text, "multi-stream").samples == [5_000, 3_000]
    assert read_trace(text, "offline").samples == [1_000, 4_000, 3_000, 1_000]


def test_trace_without_samples_is_refused() -> None:
    with pytest.raises(ModelError, match="no samples"):
        read_trace('{"traceEvents":[]}', "single-stream")


def test_engine_that_fails_under_loadgen_is_an_error() -> None:
    pytest.importorskip("mlperf_loadgen", reason="the extra loadgen is not installed")
    plan = MeasurePlan(driver="loadgen", min_calls=3, min_s=0.0, max_s=0.1)
    calls: list[int] = []

    def fail_later() -> None:
        calls.append(1)
        if len(calls) > 4:
            raise ValueError("broken")

    with pytest.raises(ModelError, match="the engine failed under LoadGen: broken"):
        run_loadgen(fail_later, plan)


def test_loadgen_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(ResourceError, match=r"pip install 'onnx-parity-toolkit\[loadgen\]'"):
        run_loadgen(lambda: None, MeasurePlan(driver="loadgen"))


# --- files of other precisions -----------------------------------------------------------------------------------


def _save_pair(folder: Path, **card: Any) -> ModelSource:
    source = ModelSource.read(save_model(folder / "tiny.onnx"))
    derived = build_card(**{"precision": "int8", "derived_from_sha256": source.sha256, **card})
    (folder / "tiny.int8.onnx").write_bytes(build_model(card=derived).SerializeToString())
    return source


def test_file_that_was_derived_from_this_very_one_is_found(tmp_path: Path) -> None:
    source = _save_pair(tmp_path)
    assert find_precision_file(source, "fp32", precision="int8").path.name == "tiny.int8.onnx"


@pytest.mark.parametrize(
    "card", [{"derived_from_sha256": "0" * 64}, {"derived_from_sha256": None}, {"precision": "fp16"}]
)
def test_file_of_another_origin_is_not_taken_for_it(tmp_path: Path, card: dict[str, Any]) -> None:
    with pytest.raises(NoPrecisionError, match=r"was not derived from this tiny\.onnx; make it with: toolkit export"):
        find_precision_file(_save_pair(tmp_path, **card), "fp32", precision="int8")


def test_strangers_file_of_that_name_is_not_taken_either(tmp_path: Path) -> None:
    source = _save_pair(tmp_path)
    (tmp_path / "tiny.int8.onnx").write_bytes(build_model().SerializeToString())
    with pytest.raises(NoPrecisionError, match="a file without a card"):
        find_precision_file(source, "fp32", precision="int8")


def test_precisions_are_rows_of_one_table(tmp_path: Path) -> None:
    source = _save_pair(tmp_path)
    plan = MeasurePlan(warmup_calls=1, warmup_s=0, min_calls=40, min_s=0, max_s=100)
    rows = run_bench(BenchConfig(plan=plan, batches=(2,), precisions=("fp32", "int8")), source).rows
    assert [(row.precision, row.status, row.settings["file"]) for row in rows] == [
        ("fp32", "pass", None),
        ("int8", "pass", "tiny.int8.onnx"),
    ]


def test_arithmetic_that_one_provider_has_skips_the_others() -> None:
    config = make_config(providers=("cpu", "openvino"), precisions=("bf16",))
    rows = run_bench(config, make_source(), opener=make_opener({})).rows
    assert [(row.provider_requested, row.precision, row.status) for row in rows] == [
        ("cpu", "bf16", "skip"),
        ("openvino", "bf16", "pass"),
    ]
    with pytest.raises(UsageError, match="does not compute in bf16"):
        run_bench(make_config(precisions=("bf16",)), make_source(), opener=make_opener({}))


# --- IO binding, boundaries, placement ---------------------------------------------------------------------------


def test_io_binding_is_swept_on_devices_only() -> None:
    seen: list[bool] = []

    def note(settings: Any) -> FakeEngine:
        seen.append(settings.io_binding)
        return FakeEngine(make_info(settings.provider))

    config = make_config(providers=("cuda", "cpu"), io_bindings=("on", "off"))
    behaviour = {("ort", "cuda"): note, ("ort", "cpu"): note}
    rows = run_bench(config, make_source(), opener=make_opener(behaviour)).rows
    assert [(row.provider_requested, row.io_binding) for row in rows] == [
        ("cuda", True),
        ("cuda", False),
        ("cpu", False),
    ]


def test_device_boundary_needs_a_device() -> None:
    plan = MeasurePlan(boundary="device", min_calls=40, min_s=0, max_s=100, warmup_s=0)
    (row,) = run_bench(make_config(providers=("cuda",), plan=plan), make_source(), opener=make_opener({})).rows
    assert (row.boundary, row.io_binding, row.status) == ("device", True, "pass")
    with pytest.raises(UsageError, match="has no memory of its own; use --boundary host"):
        run_bench(make_config(plan=plan), make_source(), opener=make_opener({}))


@pytest.mark.parametrize(
    "changes", [{"plan": MeasurePlan(boundary="device")}, {"device": DeviceOptions(cuda_graph=True)}]
)
def test_graphs_and_resident_inputs_cannot_do_without_binding(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="need IO binding"):
        BenchConfig(io_bindings=("off",), **changes)


@pytest.mark.parametrize(
    ("provider", "device", "words"),
    [
        ("cuda", DeviceOptions(), ""),
        ("cuda", DeviceOptions(nhwc=True), "has run these device options on no GPU"),
        ("cuda", DeviceOptions(cuda_graph=True), "has run these device options on no GPU"),
        ("tensorrt", DeviceOptions(), "has run TensorRT on no GPU"),
    ],
)
def test_a_row_says_what_no_gpu_has_run_before(provider: str, device: DeviceOptions, words: str) -> None:
    config = make_config(providers=(provider,), device=device)
    (row,) = run_bench(config, make_source(), opener=make_opener({})).rows
    assert (row.status, bool(row.notes)) == ("pass", bool(words))
    assert words in "".join(row.notes)


def test_graph_demands_every_node_on_the_device() -> None:
    asked: list[tuple[bool, bool]] = []

    def note(settings: Any) -> FakeEngine:
        asked.append((settings.require_all_nodes, settings.device.cuda_graph))
        return FakeEngine(make_info("cuda"))

    for device in (DeviceOptions(), DeviceOptions(cuda_graph=True)):
        run_bench(
            make_config(providers=("cuda",), device=device), make_source(), opener=make_opener({("ort", "cuda"): note})
        )
    assert asked[0] == (False, False)
    assert asked[-1] == (True, True)


def test_placement_is_printed_with_the_nodes_that_are_elsewhere() -> None:
    info = make_info(
        "cuda", placement={"cuda": 14, "cpu": 2}, details={"elsewhere": ["Shape s on cpu", "Loop l on cpu"]}
    )
    report = run_bench(
        make_config(providers=("cuda",)), make_source(), opener=make_opener({("ort", "cuda"): FakeEngine(info)})
    )
    lines = [str(item) for item in render_bench(report)]
    assert "ort: 14 of 16 nodes on cuda; elsewhere: Shape s on cpu, Loop l on cpu" in lines


# --- pictures and pages ------------------------------------------------------------------------------------------


def _report(*rows: BenchRow, path: str = "models/fast.onnx") -> dict[str, Any]:
    model = {"path": path, "sha256": "ab" * 32, "size_bytes": 5}
    report = BenchReport(command=f"toolkit bench {path}", environment={}, model=model, rows=rows, advice=("use a | b",))
    value: dict[str, Any] = json.loads(json.dumps(report.to_json()))
    return value


def _row(batch: int, p50: float, **changes: Any) -> BenchRow:
    quantiles = [p50 * (1 + 0.1 * share) for share in QUANTILES]
    fields = {"samples": 700, "quantiles_ms": quantiles, "latency_ms": {"p50": p50, "p99": 2 * p50}, "stable": True}
    return make_row(batch, p50, **{**fields, **changes})


def test_picture_is_drawn_whatever_is_missing() -> None:
    full = _report(_row(1, 0.1), _row(32, 1.0), _row(1, 0.05, threads=2), _row(32, 0.6, threads=2))
    bare = _report(
        _row(8, 1.0, quantiles_ms=None, ci95=None, latency_ms={"p50": 1.0, "p99": None}),
        _row(16, 1.0, latency_ms={"p50": None}),
        make_row(64, 1.0, status="fail", latency_ms=None),
    )
    failed = _report(make_row(1, 1.0, status="fail", latency_ms=None))
    slow = _report(*(_row(batch, 700.0, samples=2, quantiles_ms=None, latency_ms={"p50": None}) for batch in (1, 8)))
    drawn = [draw_bench(reports) for reports in ([full], [bare], [full, full], [failed], [slow])]
    for picture in drawn:
        image = Image.open(io.BytesIO(picture))
        assert image.size[0] > 1000
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
    assert draw_bench([full]) == drawn[0]


def test_page_has_every_row_and_nothing_that_breaks_its_tables() -> None:
    failed = make_row(1, 1.0, runtime="tvm", status="fail", reason="it | <died>\nwith `ticks`", latency_ms=None)
    parts = [Part("a.json", _report(_row(1, 0.1), failed)), Part("b.json", _report(_row(8, 0.1), path="other.onnx"))]
    page = render_page(parts, pictures={"fast.onnx": "p.png"}, problems=["c.json is | broken"])
    lines = page.splitlines()
    for start in (number for number, line in enumerate(lines) if line.startswith("| ---")):
        width = lines[start].count("|")
        for line in lines[start - 1 :]:
            if not line.startswith("|"):
                break
            assert line.replace("\\|", "").count("|") == width, line
    assert "- tvm on cpu: fail, it \\| &lt;died> with \\`ticks\\`" in lines
    assert "![latency, throughput and distribution](p.png)" in lines
    assert "### other.onnx" in lines
    assert any(
        line.startswith("In all rows: file a.json, provider cpu, IO binding off, precision fp32, threads own,")
        for line in lines
    )
    assert "- c.json is \\| broken" in lines
    assert "| ort | 1 | 700 | 0.1 | 0.2 | 10,000 |" in lines


def test_rows_of_parity_keep_what_tells_them_apart() -> None:
    row = {"runtime": "ort", "provider": "cpu", "precision": "fp32", "status": "pass", "images": 64, "flips": 0}
    rows = [{**row, "threads": count, "optimisation": level} for count in (0, 1) for level in ("none", "all")]
    value = {
        "schema": "toolkit/parity/1",
        "model": {"path": "models/a.onnx"},
        "command": "toolkit parity models/a.onnx",
    }
    page = render_page([Part("p.json", {**value, "rows": rows})], pictures={})
    shown = [line for line in page.splitlines() if line.startswith("| p.json | a.onnx | ort ")]
    assert len(set(shown)) == 4
    assert "| own | none |" in shown[0]
    assert "| 1 | all |" in shown[3]
    assert "toolkit parity models/a.onnx" in page


# --- results that somebody edited --------------------------------------------------------------------------------

ODD: list[Any] = ["text", [], {}, [1, 2, 3], {"a": 1}, -1, 0, True, None, 1e400, float("nan"), [[]], {"p50": []}]


def _edited(folder: Path, key: str) -> tuple[Path, list[Path]]:
    """Write a good result, and others of which one value is another thing."""
    good = folder / "good.json"
    good.write_text(json.dumps(_report(_row(1, 0.1), _row(8, 0.4))))
    paths = []
    for number, odd in enumerate(ODD):
        edited = json.loads(good.read_text())
        edited["rows"][0][key] = odd
        paths.append(folder / f"{number}.json")
        paths[-1].write_text(json.dumps(edited))
    return good, paths


@pytest.mark.parametrize("key", sorted(_row(1, 0.1).to_json()))
def test_edited_results_are_refused_or_compared_and_never_a_bug(tmp_path: Path, key: str) -> None:
    from toolkit.bench.compare import compare_results, parse_threshold
    from toolkit.bench.report import read_result

    thresholds = (parse_threshold("p50>+5%"), parse_threshold("throughput<-3%"))
    good, paths = _edited(tmp_path, key)
    for path in paths:
        for pair in ((good, path), (path, good)):
            with contextlib.suppress(DataError, UsageError):
                old, new = (read_result(item) for item in pair)
                compare_results(old, new, names=("a", "b"), thresholds=thresholds, allow=frozenset({"settings"}))


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(_row(1, 0.1).to_json()))
def test_edited_results_are_left_out_or_drawn_and_never_a_bug(tmp_path: Path, key: str) -> None:
    from toolkit.cli.commands.report import report_command

    good, paths = _edited(tmp_path, key)
    for path in paths:
        with contextlib.suppress(DataError):
            report_command([good, path], output=path.with_suffix(".md"), force=True)


def test_depths_that_no_parser_follows_are_bad_data(tmp_path: Path) -> None:
    from toolkit.bench.report import read_result

    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="as JSON"):
        read_result(path)
