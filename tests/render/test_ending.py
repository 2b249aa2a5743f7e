"""How a command ends that made something: files, each alone on its line; the environment; what to do next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from toolkit.environment import sleeping_environment
from toolkit.render.ending import ending_lines, list_run_files, next_steps


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment that this process runs in and no shell knows of."""
    folder = tmp_path / "my venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "activate").touch()
    monkeypatch.setattr(sys, "prefix", str(folder))
    monkeypatch.setenv("PATH", "/usr/bin")
    return folder


def test_an_environment_that_is_not_active_is_told_with_its_command(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [str(line) for line in ending_lines([], {})]
    assert f"    source {shlex.quote(str(environment / 'bin' / 'activate'))}" in lines
    monkeypatch.chdir(tmp_path)
    assert sleeping_environment() == Path("my venv")
    monkeypatch.setenv("PATH", f"/usr/bin:{environment / 'bin'}")
    assert sleeping_environment() is None
    assert not [line for line in ending_lines([], {}) if "activate" in str(line)]


def test_outside_a_virtual_environment_nothing_is_to_be_activated(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert environment.exists()
    assert sleeping_environment() is None


def test_every_file_stands_alone_and_commands_have_real_names(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("history.png", "mistakes.png", "config.json", ".checkpoints.lock"):
        (run / name).touch()
    files = list_run_files(run)
    assert [path.name for path in files] == ["config.json", "history.png", "mistakes.png", "checkpoints"]
    model = tmp_path / "models" / "mine.onnx"
    lines = [str(line).strip() for line in ending_lines(files, next_steps(run, model, is_exported=False))]
    assert {str(path) for path in files} <= set(lines)
    assert "toolkit export mine" in lines
    assert f"toolkit demo {model}" in lines
    steps = [" ".join(command) for command in next_steps(run, model, is_exported=True).values()]
    assert steps == [f"toolkit demo {model}", f"toolkit predict {model} PICTURES", "toolkit export mine --kit all"]
