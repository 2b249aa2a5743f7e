"""`toolkit bench`, `doctor`, `predict` and `parity` on a real CUDA device, as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def _toolkit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def _report(*arguments: str | Path) -> dict[str, Any]:
    done = _toolkit(*arguments)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_bench_row_on_cuda_ran_on_cuda(model_path: Path, record_property: Any) -> None:
    report = _report("bench", model_path, "--json", "--provider", "cuda", "--batch", "1,256")
    for row in report["rows"]:
        assert (row["status"], row["provider_active"], row["fallback"]) == ("pass", "cuda", False)
        assert set(row["settings"]["placement"]) == {"cuda"}
        assert row["settings"]["engine"]["provider_options"]["use_tf32"] == "0"
        assert row["samples"] > 0
        record_property(f"batch_{row['batch']}_items_per_s", row["throughput_items_per_s"])
    assert report["environment"]["gpus"]


def test_bench_with_and_without_io_binding_tells_the_copies_apart(model_path: Path, record_property: Any) -> None:
    report = _report("bench", model_path, "--json", "--provider", "cuda", "--batch", "256", "--io-binding", "on,off")
    assert [row["io_binding"] for row in report["rows"]] == [True, False]
    phases = report["rows"][0]["phases_ms"]
    assert set(phases) == {"copy_in", "compute", "copy_out", "host"}
    assert all(value >= 0 for value in phases.values())
    assert report["rows"][1]["phases_ms"] is None
    (floor,) = report["floors"]
    assert floor["matmul_gflops"] > 100
    record_property("phases_ms", phases)
    record_property("floor", floor)


def test_bench_from_device_to_device_is_no_slower_than_through_the_host(model_path: Path, record_property: Any) -> None:
    rates = {}
    for boundary in ("host", "device"):
        report = _report("bench", model_path, "--json", "--provider", "cuda", "--batch", "512", "--boundary", boundary)
        (row,) = report["rows"]
        assert (row["boundary"], row["status"]) == (boundary, "pass")
        rates[boundary] = row["throughput_items_per_s"]
        record_property(f"{boundary}_items_per_s", rates[boundary])
    assert rates["device"] > 0.9 * rates["host"]


def test_cuda_graph_is_captured_and_gives_the_same_answers(model_path: Path, record_property: Any) -> None:
    from toolkit.data import load_dataset
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.providers import DeviceOptions
    from toolkit.runtimes.workers.client import WorkerRuntime

    images = load_dataset("mnist-mini").test.images
    plain = RuntimeSettings(provider="cuda", io_binding=True)
    graphed = RuntimeSettings(provider="cuda", io_binding=True, device=DeviceOptions(cuda_graph=True))
    source = ModelSource.read(model_path)
    with WorkerRuntime(source, plain) as first, WorkerRuntime(source, graphed) as second:
        for start, count in ((0, 8), (8, 8), (16, 1), (17, 8)):
            feeds = {"images": images[start : start + count]}
            np.testing.assert_array_equal(first.run(feeds)["label"], second.run(feeds)["label"])
    for flags in ((), ("--cuda-graph",)):
        (row,) = _report("bench", model_path, "--json", "--provider", "cuda", "--batch", "1", *flags)["rows"]
        assert row["status"] == "pass"
        record_property("p50_ms " + " ".join(flags), row["latency_ms"]["p50"])


def test_every_device_option_is_taken_by_this_release(model_path: Path) -> None:
    options = ("nhwc=true", "algorithm_search=exhaustive")
    flags = [part for option in options for part in ("--device-option", option)]
    (row,) = _report("bench", model_path, "--json", "--provider", "cuda", "--batch", "8", *flags)["rows"]
    assert row["settings"]["engine"]["provider_options"]["prefer_nhwc"] == "1"
    assert row["settings"]["device"]["algorithm_search"] == "exhaustive"


def test_memory_and_energy_of_the_gpu_are_told(model_path: Path, record_property: Any) -> None:
    (row,) = _report("bench", model_path, "--json", "--provider", "cuda", "--batch", "256")["rows"]
    assert row["memory"]["gpu_used_bytes"] > 1 << 20
    record_property("energy_j_per_item", row["energy_j_per_item"])


def test_search_finds_settings_under_a_limit(model_path: Path, record_property: Any) -> None:
    report = _report(
        "bench", model_path, "--json", "--auto", "--goal", "throughput", "--max-p99-ms", "20", "--runtime", "ort"
    )
    assert report["chosen"]["objective"] == "throughput"
    record_property("chosen", report["rows"][report["chosen"]["row"]]["provider_active"])


def test_bench_of_torch_on_cuda_ran_on_cuda(trained: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if _toolkit("doctor", "--require", "torch/cuda").returncode:
        pytest.skip("torch is a build without CUDA, or sees no device")
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(trained))
    report = _report("bench", model_path, "--json", "--runtime", "torch", "--provider", "cuda", "--batch", "64")
    (row,) = report["rows"]
    assert (row["status"], row["provider_active"]) == ("pass", "cuda")


def test_doctor_finds_cuda_working(tmp_path: Path) -> None:
    report = _report("doctor", "--json", "--require", "cuda")
    row = next(row for row in report["rows"] if row["name"] == "ort/cuda")
    assert (row["status"], row["opens"], row["runs"]) == ("pass", True, True)
    assert set(row["placement"]) == {"cuda"}


def test_predict_on_cuda_gives_the_cpus_labels(model_path: Path, tmp_path: Path) -> None:
    from toolkit.data import load_dataset

    images = tmp_path / "digits.npy"
    np.save(images, load_dataset("mnist-mini").test.images[:200])
    columns = {}
    for provider in ("cpu", "cuda"):
        target = tmp_path / f"{provider}.csv"
        done = _toolkit("predict", model_path, images, "--provider", provider, "--output", target)
        assert done.returncode == 0, done.stderr
        rows = [line.split(",") for line in target.read_text().splitlines()]
        header = rows[0]
        columns[provider] = [(row[header.index("index")], row[header.index("label")]) for row in rows[1:]]
        assert {row[header.index("provider")] for row in rows[1:]} == {provider}
    assert len(columns["cpu"]) == 200
    assert columns["cpu"] == columns["cuda"]


def test_parity_on_cuda_passes(trained: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(trained))
    report = _report("parity", model_path, "--json", "--runtime", "ort", "--provider", "cuda")
    rows = [row for row in report["rows"] if row["provider"] == "cuda"]
    assert rows
    assert all(row["status"] == "pass" for row in rows), os.linesep.join(row["reason"] for row in rows)
