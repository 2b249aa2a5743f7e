"""The command of a report: the words that were typed, and what was chosen where nothing was."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.cli.actions import evaluate as evaluate_action
from toolkit.cli.app import main
from toolkit.cli.boundary import run_guarded
from toolkit.cli.output import fill_in, repeat_command


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture of an evaluation is looked at here, and to draw them takes longer than all else."""
    monkeypatch.setattr(evaluate_action, "_draw", lambda *_, **__: {})


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, str]]:
    """Types a command and returns its report."""

    def call(*words: str) -> dict[str, str]:
        monkeypatch.setattr(sys, "argv", ["toolkit", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        value: dict[str, str] = json.loads(capsys.readouterr().out)
        return value

    return call


@pytest.fixture
def trained_copy(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("latest.json", "runs", "models"):
        (tmp_path / name).symlink_to(trained / name)
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    return tmp_path


def test_the_latest_model_is_named(trained_copy: Path, report: Callable[..., dict[str, str]]) -> None:
    model = next((trained_copy / "models").glob("*.onnx"))
    command = report("--debug", "selftest", "--json")["command"].split()
    assert command[:3] == ["toolkit", "--debug", "selftest"]
    assert Path(command[3]).samefile(model)
    assert command[4:] == ["--json"]
    assert report("inspect", str(model), "--json")["command"] == f"toolkit inspect {model} --json"


def test_predict_names_the_latest_model_once(
    trained_copy: Path, report: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "digit.png")
    words = [str(tmp_path / "digit.png"), "--output", str(tmp_path / "rows.csv"), "--json"]
    command = report("predict", *words)["command"].split()
    assert command[:2] == ["toolkit", "predict"]
    assert Path(command[2]).samefile(next((trained_copy / "models").glob("*.onnx")))
    assert command[3:] == words


def test_a_run_and_its_data_are_named(trained_copy: Path, report: Callable[..., dict[str, str]]) -> None:
    run = next((trained_copy / "runs").iterdir())
    command = report("evaluate", "--against", str(run), "--json")["command"].split()
    assert command[:2] == ["toolkit", "evaluate"]
    assert Path(command[2]).samefile(run)
    assert command[3:] == ["--data", "mnist-mini", "--against", str(run), "--json"]
    assert report(*command[1:])["command"].split() == command, "what is repeated has nothing to fill in"


def test_another_command_of_the_process_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["toolkit", "predict", "--", "a file"])
    run_guarded(lambda: fill_in("m.onnx"), debug=True)
    assert repeat_command() == "toolkit predict m.onnx -- 'a file'"
    run_guarded(lambda: None, debug=True)
    assert repeat_command() == "toolkit predict -- 'a file'"
