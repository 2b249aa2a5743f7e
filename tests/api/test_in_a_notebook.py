"""Errors in IPython's own shell: the caller's lines and one message; the whole traceback of a fault of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("IPython", reason="IPython is not installed")
from IPython.core.interactiveshell import InteractiveShell

import toolkit
from toolkit.errors import ToolkitError

Show = Callable[[str], list[str]]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Iterator[Show]:
    """Run a cell and return the lines that it shows."""
    shell = InteractiveShell.instance(colors="nocolor")

    def run(cell: str) -> list[str]:
        shell.run_cell(cell)
        return capsys.readouterr().out.splitlines()

    yield run
    InteractiveShell.clear_instance()


def test_an_error_is_the_callers_lines_and_the_message(show: Show) -> None:
    lines = show("import toolkit\ndef learn(data):\n    return toolkit.train(data)\nlearn('not-there')")
    assert lines[:2] == ["cell, line 4: learn('not-there')", "cell, line 3: return toolkit.train(data)"]
    assert lines[2].startswith("UsageError: no data set, file or folder 'not-there'")
    assert len(lines) == 3


@pytest.mark.parametrize("error", [TypeError("a bug"), ToolkitError("a bug")])
def test_a_fault_of_ours_keeps_its_traceback(show: Show, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(toolkit, "evaluate", fail)
    lines = show("import toolkit\ntoolkit.evaluate('x')")
    assert any("raise error" in line for line in lines)
    assert lines[-1].endswith(f"{type(error).__name__}: a bug")
