"""The whole path, command by command, in this process: each command finds what the one before it left."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from commands_here import exit_code_of
from PIL import Image

from toolkit.durable import sha256_bytes
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.timing.loop import measure
from toolkit.runtimes.timing.plan import MeasurePlan


@pytest.mark.slow
def test_each_command_goes_on_from_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--set", "hidden_units=32", "--set", "conv1_channels=8", "--set", "conv2_channels=8"]
    assert exit_code_of("train", "--data", "mnist-mini", "--epochs", "6", *small, "--json") == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["evaluation"]["accuracy"] > 0.7
    assert exit_code_of("evaluate", "--json") == 0
    judged = json.loads(capsys.readouterr().out)
    assert judged["correct"] == trained["evaluation"]["correct"]
    assert len(judged["mistakes"]) == judged["count"] - judged["correct"]
    assert set(judged["pictures"]) == {"confusion", "first", "mistakes"}
    assert exit_code_of("export", "--json") == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["test_accuracy"]["count"] == 1000
    assert exit_code_of("evaluate", exported["model"]["path"], "--json") == 0
    of_file = json.loads(capsys.readouterr().out)
    assert of_file["correct"] == exported["test_accuracy"]["correct"]
    assert [answer["index"] for answer in of_file["first"]] == list(range(10))
    assert all(Path(path).parent.name == "reports" for path in of_file["pictures"].values())
    assert exit_code_of("inspect", "--json") == 0
    assert json.loads(capsys.readouterr().out)["meets_contract"]
    assert exit_code_of("selftest") == 0
    assert "PASS" in capsys.readouterr().out
    narrow = ["--runtime", "ort", "--threads", "1", "--optimisation", "all", "--sample", "64"]
    assert exit_code_of("parity", *narrow, "--picture", str(tmp_path / "matrix.png")) == 0
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.format == "PNG"
    assert exit_code_of("parity", *narrow, "--picture", str(tmp_path / "matrix.png")) == 2  # it exists
    assert exit_code_of("parity", *narrow, "--picture", str(tmp_path / "matrix.jpg")) == 2
    both = str(tmp_path / "both.png")
    assert exit_code_of("parity", *narrow, "--picture", both, "--output", both) == 2
    assert "parity PASS against pytorch-float64" in capsys.readouterr().out
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "digit.png")
    assert exit_code_of("predict", str(tmp_path / "digit.png"), "--probabilities") == 0
    assert "digit.png" in capsys.readouterr().out
    assert exit_code_of("bench", "--batch", "1", "--seconds", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["samples"] > 0


def test_a_failing_check_ends_in_1_after_its_report(
    model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from broken_models import broken

    path = tmp_path / "broken.onnx"
    path.write_bytes(broken(model_path.read_bytes(), "bias dropped"))
    assert exit_code_of("selftest", str(path), "--json") == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False
    narrow = ["--runtime", "ort", "--threads", "1", "--optimisation", "all", "--sample", "64"]
    assert exit_code_of("parity", str(path), *narrow, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is False
    assert report["rows"][0]["status"] == "fail"


def test_every_runtime_opens_here_and_agrees(model_path: Path, trained_run: Path) -> None:
    model = model_path.read_bytes()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=model_path, run=trained_run)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    answers = []
    for runtime, precision in (("ort", "fp32"), ("torch", "fp32"), ("torch", "fp64"), ("onnx-float64", "fp32")):
        with open_runtime(source, RuntimeSettings(runtime=runtime, precision=precision, threads=1)) as opened:
            answers.append(opened.run({"images": images}))
    assert all(np.abs(answer["logits"] - answers[0]["logits"]).max() < 1e-4 for answer in answers)
    assert np.abs(answers[2]["logits"] - answers[3]["logits"]).max() < 1e-9


def test_the_timing_loop_keeps_every_call(model_path: Path) -> None:
    calls: list[str] = []

    class Counting:
        info = SimpleNamespace(provider_active="cpu")
        notes: tuple[str, ...] = ()

        def run(self, feeds: object) -> None:
            calls.append("checked")

        def prepare(self, feeds: object, *, boundary: str) -> Any:
            return lambda: calls.append("bare")

    plan = MeasurePlan(warmup_calls=3, warmup_s=0, min_calls=20, min_s=0, max_s=100)
    result = measure(Counting(), {}, plan=plan)  # type: ignore[arg-type]  # a fake
    assert calls == ["checked", *["bare"] * 23]
    assert len(result.samples_ns) == 20
    assert (result.samples_ns >= 0).all()
    assert result.first_run_ns > 0
