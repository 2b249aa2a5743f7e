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
