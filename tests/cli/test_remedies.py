"""What a message tells to do runs in the shell that reads it, whether or not the environment is active there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.cli.output import Output
from toolkit.cli.remedies import as_pasted

OUTSIDE = "/usr/bin:/bin"
# A command without an environment: errors of a command that is not there, of a run, a package and a runtime.
SPEAK = """
import sys
from toolkit.cli.app import run_words
from toolkit.cli.boundary import run_guarded
from toolkit.errors import ResourceError
def fail(words):
    def raising():
        raise ResourceError(words)
    return raising
run_words(["bench", "--precison", "fp32"], debug=False)
run_guarded(fail("pnnx is not installed; mend it with: toolkit runtimes install ncnn"), debug=False)
run_guarded(fail("it is not installed; get it with: pip install 'onnx-parity-toolkit[kit-c]'"), debug=False)
run_guarded(fail("two are installed: pip uninstall -y onnxruntime && pip install onnxruntime-gpu"), debug=False)
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in a folder with a blank, that is not active; its commands say their own path."""
    bin_folder = tmp_path / "my venv" / "bin"
    bin_folder.mkdir(parents=True)
    for name in ("toolkit", "pip"):
        (bin_folder / name).write_text('#!/bin/sh\necho "$0"\n')
        (bin_folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    monkeypatch.setenv("PATH", OUTSIDE)
    return bin_folder


def test_every_command_of_an_error_runs_outside_the_environment(tmp_path: Path) -> None:
    own = Path(sys.executable).parent
    if not (own / "toolkit").exists() or not (own / "pip").exists():
        pytest.skip("this environment has no commands of its own")
    root = Path(__file__).parents[2]
    variables = {"PATH": OUTSIDE, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", SPEAK], capture_output=True, text=True, check=True, env=variables, cwd=tmp_path
    )
    programs = re.findall(r"(\S*\b(?:toolkit|pip)) (?:bench|runtimes|install|uninstall)", done.stderr)
    assert len(programs) == 5, done.stderr
    assert {Path(program).parent for program in programs} == {own}
    helped = next(line.partition("for help: ")[2] for line in done.stderr.splitlines() if "for help" in line)
    shown = subprocess.run(
        ["sh", "-c", helped], capture_output=True, text=True, check=True, env=variables, cwd=tmp_path
    )
    assert "--precision" in shown.stdout


def test_a_path_with_a_blank_is_quoted_and_is_short_below_the_working_folder(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert as_pasted("mend it with: toolkit runtimes install mnn").endswith(
        f": {shlex.quote(str(environment / 'toolkit'))} runtimes install mnn"
    )
    monkeypatch.chdir(tmp_path)
    command = as_pasted("pip install torch")
    assert command == "'my venv/bin/pip' install torch"
    assert (
        subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout == "my venv/bin/pip\n"
    )


def test_what_the_shell_finds_by_its_name_is_called_by_it(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "toolkit").symlink_to(environment / "toolkit")
    monkeypatch.setenv("PATH", f"{tmp_path / 'links'}:{OUTSIDE}")
    assert as_pasted("see: toolkit doctor") == "see: toolkit doctor"
    assert as_pasted("get it with: pip install torch") != "get it with: pip install torch"  # another Python's


@pytest.mark.parametrize(
    "words", ["this is a bug in toolkit: x", "a newer toolkit wrote it", "/opt/pip install", "pip"]
)
@pytest.mark.usefixtures("environment")
def test_words_that_are_no_command_stay(words: str) -> None:
    assert as_pasted(words) == words


@pytest.mark.usefixtures("environment")
def test_commands_below_the_line_that_starts_the_environment_are_typed_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().show("    source my/bin/activate", "    toolkit demo")
    assert capsys.readouterr().out.endswith("    toolkit demo\n")
    Output().show("see: toolkit demo")
    assert "bin/toolkit' demo" in capsys.readouterr().out
