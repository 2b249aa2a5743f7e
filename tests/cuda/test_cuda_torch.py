"""Training on a real CUDA device, through the command line, and what comes out of it on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def _toolkit(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder)}
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)


@pytest.fixture(scope="module")
def trained_on_cuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder with a run of two epochs on the device."""
    from toolkit.network.device import TorchMachine

    problem = TorchMachine().cuda_problem()
    if problem is not None:
        pytest.skip(problem)
    folder = tmp_path_factory.mktemp("cuda-artifacts")
    done = _toolkit(folder, "train", "--data", "mnist-mini", "--epochs", "2", "--device", "cuda")
    assert done.returncode == 0, done.stderr
    return folder


def test_training_on_cuda_learns_and_records_its_device(trained_on_cuda: Path) -> None:
    (run,) = (trained_on_cuda / "runs").iterdir()
    assert json.loads((run / "config.json").read_text())["training"]["device"] == "cuda"
    assert json.loads((run / "evaluation.json").read_text())["accuracy"] > 0.8


def test_run_from_cuda_exports_and_self_tests_on_the_cpu_and_on_cuda(trained_on_cuda: Path) -> None:
    for command in (["export"], ["selftest"], ["selftest", "--provider", "cuda"]):
        done = _toolkit(trained_on_cuda, *command)
        assert done.returncode == 0, done.stderr


def test_run_from_cuda_passes_parity_on_both(trained_on_cuda: Path) -> None:
    assert _toolkit(trained_on_cuda, "export").returncode == 0
    done = _toolkit(trained_on_cuda, "parity", "--provider", "cpu,cuda", "--json")
    assert done.returncode == 0, done.stderr
    providers = {row["provider"] for row in json.loads(done.stdout)["rows"] if row["status"] == "pass"}
    assert {"cpu", "cuda"} <= providers
