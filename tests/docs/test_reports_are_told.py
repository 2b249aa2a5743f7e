"""The reference tells the keys of the reports that the product writes, no more and no less."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs" / "hooks"
# What lies in files of the product's own, and what ends a question.
NO_REPORTS = {"card", "run", "unfinished", "private-runtime", "quickstart", "runs-deleted", "fastest"}
# What is there sometimes.
OPTIONAL = {"evaluation": {"run", "checkpoint", "against"}, "data": {"problem", "predicts"}}
# Whose table is of the rows alone.
ROWS = {"runtimes", "recipes"}
COMMON = {"schema", "command", "environment"}
MODEL = "digits.onnx"
COMMANDS = {
    "evaluation": ("evaluate", MODEL),
    "parity": ("parity", MODEL, "--runtime", "ort", "--sample", "50"),
    "bench": ("bench", MODEL, "--seconds", "0.2", "--batch", "1"),
    "inspect": ("inspect", MODEL),
    "selftest": ("selftest", MODEL),
    "doctor": ("doctor",),
    "export": ("export", "first", "--name", "again"),
    "predictions": ("predict", MODEL, "digits.card.json"),
    "runs": ("runs",),
    "runtimes": ("runtimes", "list"),
    "recipes": ("recipes", "fast"),
    "data": ("data", "info", "mnist-mini"),
    "data-fetch": ("data", "fetch", "mnist-mini"),
    "comparison": ("compare", "bench.json", "bench.json"),
}
pytestmark = pytest.mark.docs


@pytest.fixture(scope="module")
def told() -> dict[str, list[set[str]]]:
    """By kind of report the keys of each table on its page."""
    pytest.importorskip("griffe", reason="the extra docs is not installed")
    sys.path.insert(0, str(HOOKS))
    import records

    sections = re.split(r"^## toolkit/([\w-]+)/1 .*$", records.PARTS["reports"](), flags=re.MULTILINE)
    tables = [
        [
            set(re.findall(r"^\| `([^`]+)`", part, re.MULTILINE))
            for part in re.split(r"^\| key", section, flags=re.MULTILINE)[1:]
        ]
        for section in sections[2::2]
    ]
    return dict(zip(sections[1::2], tables, strict=True))


@pytest.fixture(scope="module")
def folder(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    shutil.copytree(small_model, folder / "artifacts")
    for path in (small_model / "models").iterdir():
        shutil.copy(path, folder)
    run(folder, "bench", MODEL, "--seconds", "0.2", "--batch", "1", "--output", "bench.json")
    return folder


@pytest.mark.parametrize("kind", COMMANDS)
def test_keys_of_a_report_are_those_that_are_told(kind: str, told: dict[str, list[set[str]]], folder: Path) -> None:
    report = run(folder, *COMMANDS[kind])
    assert report["schema"] == f"toolkit/{kind}/1"
    first, *further = told[kind]
    whole = report["rows"][0].get("fields", report["rows"])[0] if kind in ROWS else report
    assert {*whole} - COMMON <= first
    assert first - {*whole} <= OPTIONAL.get(kind, set())
    if kind in ROWS:
        return
    inner = set().union(*further, first)
    for rows in ("rows", "clauses", "changes", "runs", "models", "preview"):
        items = report.get(rows) or []
        seen = {key for row in items if isinstance(row, Mapping) for key in row}
        assert seen <= inner, f"{rows}: {seen - inner}"


def test_every_schema_of_the_code_is_told(told: dict[str, list[set[str]]]) -> None:
    texts = [path.read_text() for path in (ROOT / "toolkit").rglob("*.py")]
    written = {kind for text in texts for kind in re.findall(r"\"toolkit/([\w-]+)/1\"", text)}
    assert written - NO_REPORTS == {*told}


def run(folder: Path, *words: str) -> dict[str, Any]:
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": "artifacts"}
    command = [sys.executable, "-m", "toolkit", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
