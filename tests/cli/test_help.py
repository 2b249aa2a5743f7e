"""The help texts, frozen: a change of the command line is seen. Update with TOOLKIT_UPDATE_GOLDEN=1."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.cli.help_page import EXAMPLES
from toolkit.cli.variables import VARIABLES

GOLDEN = Path(__file__).parent / "golden"
COMMANDS = ["", "quickstart", "data", "data fetch", "data info", "data show", "train", "evaluate", "export", "inspect"]
COMMANDS += ["runs", "recipes", "demo"]
COMMANDS += [
    "selftest",
    "parity",
    "predict",
    "bench",
    "compare",
    "report",
    "doctor",
    "tune",
    "learning-curve",
    "runtimes",
    "runtimes list",
    "runtimes install",
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command or "toolkit")
def test_help_is_as_frozen(command: str) -> None:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    arguments = [sys.executable, "-m", "toolkit", *command.split(), "--help"]
    text = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout
    text = re.sub(r"[ \t]+\n", "\n", text)
    path = GOLDEN / f"help-{command.replace(' ', '-') or 'toolkit'}.txt"
    if os.environ.get("TOOLKIT_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), "the help text changed; look at it, then run with TOOLKIT_UPDATE_GOLDEN=1"


def test_completion_scripts_can_be_made() -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    arguments = [sys.executable, "-m", "toolkit", "--show-completion", "bash"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0
    assert "complete" in done.stdout


@pytest.mark.parametrize("verb", EXAMPLES)
def test_examples_of_a_command_fit_a_narrow_screen_and_know_its_options(verb: str) -> None:
    page = (GOLDEN / f"help-{verb.replace(' ', '-')}.txt").read_text() if verb in COMMANDS else ""
    for example in EXAMPLES[verb]:
        assert len(example) <= 78
        assert example.startswith(f"toolkit {verb}")
        if page:
            assert f"\n  {example}" in page or f"\n    {example}" in page
            words = page.replace(example, "").split()
            assert {word for word in example.split() if word.startswith("-")} <= {word.strip(",") for word in words}


def test_every_command_has_two_examples_and_no_page_names_a_type_of_python() -> None:
    leaves = [command for command in COMMANDS if command not in {"", "data", "runtimes"}]
    assert {len(EXAMPLES[command]) for command in leaves} == {2}
    for path in GOLDEN.glob("help-*.txt"):
        assert not re.search(r"<(?:str|int|float|path|list)|\b(?:TEXT|INTEGER)\b", path.read_text()), path.name


def test_the_first_screen_tells_where_results_go_and_what_changes_it() -> None:
    """It fits a screen of 40 lines, the prompt among them, and 80 columns."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    arguments = [sys.executable, "-m", "toolkit", "--help"]
    text = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment).stdout
    places = [name for name, words in VARIABLES.items() if words.startswith("Where")]
    assert {"TOOLKIT_ARTIFACTS", "TOOLKIT_DATA", "TOOLKIT_CACHE", "TOOLKIT_RUNTIMES"} == set(places)
    assert all(f"{name} " in text and VARIABLES[name] in text for name in places)
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 80
