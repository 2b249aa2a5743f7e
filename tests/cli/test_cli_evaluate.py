"""`toolkit evaluate`: the files it leaves, where they go, and what it says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands_here import exit_code_of

from toolkit.plots import evaluation


@pytest.fixture
def artifacts(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the session's trained folder, so that a test may write into its run."""
    folder = tmp_path / "artifacts"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("reports"))
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(folder))
    return folder


def report_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_a_run_keeps_its_evaluation_in_its_folder(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next((artifacts / "runs").iterdir())
    names = ("evaluation.json", "confusion.png", "first.png", "mistakes.png")
    assert all((run / name).is_file() for name in names), "training leaves them"
    for name in names:
        (run / name).unlink()
    assert exit_code_of("evaluate", "--json") == 0
    report = report_of(capsys)
    assert all((run / name).is_file() for name in names)
    assert report == json.loads((run / "evaluation.json").read_text())
    confidence = [answer["probability"] for answer in report["mistakes"]]
    assert confidence == sorted(confidence, reverse=True)
    assert len(confidence) == report["count"] - report["correct"] > 0
    assert all(answer["label"] != answer["predicted"] for answer in report["mistakes"])
    assert [answer["index"] for answer in report["first"]] == list(range(10))


def test_a_file_and_a_run_give_the_same_figures(
    artifacts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "image_grid", lambda *_, **__: b"drawn elsewhere")
    model = next((artifacts / "models").glob("*.onnx"))
    run = next((artifacts / "runs").iterdir())
    assert exit_code_of("evaluate", str(model), "--against", str(run), "--json") == 0
    report = report_of(capsys)
    assert report["model"]["path"] == str(model)
    assert (report["against"]["correct"], report["against"]["p_value"]) == (report["correct"], 1.0)
    assert report["against"]["verdict"] == "undecided"
    stems = {Path(path).name.rpartition("-")[0] for path in report["pictures"].values()}
    assert stems == {path.stem for path in (artifacts / "reports").glob("*.json")}
    before = (run / "evaluation.json").read_text()
    assert exit_code_of("evaluate", f"{run}@best") == 0
    text = capsys.readouterr().out
    assert "mistakes, the worst first\npicture " in text
    assert re.search(r"^picture \S+-mistakes\.png$", text, re.MULTILINE)
    assert (run / "evaluation.json").read_text() == before, "another checkpoint is not the run's evaluation"


def test_no_mistakes_leave_no_gallery(
    artifacts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.evaluation.candidate import CandidateAnswers, RunCandidate

    real = RunCandidate.answer

    def perfect(self: RunCandidate, images: Any) -> CandidateAnswers:
        from toolkit.data.load import load_mini

        return CandidateAnswers(real(self, images).probabilities, load_mini().test.labels)

    monkeypatch.setattr(RunCandidate, "answer", perfect)
    run = next((artifacts / "runs").iterdir())
    assert exit_code_of("evaluate") == 0
    text = capsys.readouterr().out
    assert "no mistakes, so no gallery" in text
    assert "mistakes.png" not in text
    assert not (run / "mistakes.png").exists()
    assert json.loads((run / "evaluation.json").read_text())["mistakes"] == []


def test_a_rival_of_other_classes_is_refused(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next((artifacts / "runs").iterdir())
    other = artifacts / "runs" / "other"
    shutil.copytree(run, other)
    config = json.loads((other / "config.json").read_text())
    config["classes"] = list("abcdefghij")
    (other / "config.json").write_text(json.dumps(config))
    assert exit_code_of("evaluate", run.name, "--against", "other", debug=False) == 3
    assert "run other does not know: 0, 1, 2" in capsys.readouterr().err


def test_a_provider_for_a_run_is_refused_instead_of_left_aside(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next((artifacts / "runs").iterdir())
    for provider in ("cuda", "bogus"):
        arguments = ["evaluate", run.name, "--provider", provider]
        assert exit_code_of(*arguments, debug=False) == 2
        assert f"--provider {provider} is for .onnx files" in capsys.readouterr().err
