"""The tutorial's notebook: it runs from end to end on the small set, and what is published is one whole run's own output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.docs
SMALL = {"DATA": "mnist-mini", "RECIPE": "fast", "EPOCHS": 2}


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def accuracy(said: str) -> float:
    (found,) = re.findall(r"^run final: test accuracy ([\d.]+) %", said, re.MULTILINE)
    return float(found)


@pytest.mark.filterwarnings("default")  # of the kernel's client
def test_tutorial_runs_on_the_small_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutorial import TUTORIAL, execute

    monkeypatch.delenv("TOOLKIT_ARTIFACTS", raising=False)
    said = printed(execute(TUTORIAL, folder=tmp_path, settings=SMALL))
    assert "of 1,000)" in said
    assert accuracy(said) > 90
    assert "PASS 16 golden vectors" in said
    assert "passed: True" in said
    assert re.search(r"\d+ of 20 agree with their file's name", said)
    assert (tmp_path / "artifacts" / "models" / "digits.onnx").is_file()


def test_published_outputs_are_of_one_run_with_the_published_settings() -> None:
    import nbformat
    from tutorial import MOST_BYTES, TUTORIAL

    notebook = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert 'DATA = "mnist"' in cells[0].source
    said = printed(notebook)
    assert "of 10,000)" in said
    assert accuracy(said) > 99.3
    assert "passed: True" in said
    assert TUTORIAL.stat().st_size <= MOST_BYTES
    assert not re.search(r"/(tmp|root|home|work)/", TUTORIAL.read_text("utf-8"))
