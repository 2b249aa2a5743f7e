"""Every block of code of README, the guides and the explanations does what stands there: `make docs`."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from coloured_shapes import write_shapes
from documents import Block, blocks_of, commands_in, given_by, problem_with, spans_of
from handwriting import font_digits, write_handwriting

import toolkit

ROOT = Path(__file__).parents[2]
RUN = [ROOT / "README.md", *sorted(ROOT.glob("docs/guides/*.md")), *sorted(ROOT.glob("docs/explanation/*.md"))]
READ = [*RUN, ROOT / "CONTRIBUTING.md", ROOT / "artifacts" / "README.md", *sorted(ROOT.glob("docs/reference/**/*.md"))]
BLOCK_S = 600
# What differs from one run and machine to the next: hashes, times, names made of them, figures.
CHANGING = re.compile(r"\b[0-9a-f]{8,}\b|-?\d[\d.,:]*(?:e[+-]?\d+)?|\s+")
pytestmark = pytest.mark.docs


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", READ, ids=name_of)
def test_every_command_is_one_that_the_command_line_takes(path: Path) -> None:
    blocks, spans = blocks_of(path), spans_of(path)
    told = {
        f"line {block.line}: toolkit {' '.join(words)}": words for block in blocks for words in commands_in(block.text)
    }
    problems = {where: problem for where, words in told.items() if (problem := problem_with(words))}
    # In a sentence a command may be without its arguments.
    named = {
        f"`{span}`": problem
        for span in spans
        for words in commands_in(span)
        if "there is no" in (problem := problem_with(words))
    }
    assert not {**problems, **named}


@pytest.mark.parametrize("path", RUN, ids=name_of)
def test_blocks_do_what_stands_there(
    path: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    for name in given_by(path):
        give(name, folder, small_model)
    monkeypatch.chdir(folder)
    settle_environment(monkeypatch, tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks_of(path):
        where = f"{name_of(path)}:{block.line}"
        if "parse only" in block.marks:
            assert block.marks["parse only"], f"{where}: say why it is not run"
            parse(block, where)
        elif "file" in block.marks:
            target = folder / block.marks["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        elif "output" in block.marks:
            require_printed(block.text.splitlines(), printed, where)
        elif block.kind == "python":
            printed = run_python(block, names, where)
        elif block.kind in {"shell", "console"}:
            printed = run_shell(block, where)
            require_printed(block.output if block.kind == "console" else [], printed, where)
        else:
            parse(block, where)


def give(name: str, folder: Path, small_model: Path) -> None:
    """Put into the folder what the reader has."""
    if name == "model":
        shutil.copytree(small_model, folder / "artifacts")
        for path in (small_model / "models").iterdir():
            shutil.copy(path, folder)
    elif name == "digits":
        write_handwriting(folder / "my-digits", *font_digits(), origin="font")
    elif name == "photos":
        write_shapes(folder / "photos", count=160, height=32, width=32)
    else:
        pytest.fail(f"nobody knows what {name!r} is to be given")


def settle_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Results go where the product puts them; what the reader has installed is found; the network is not."""
    monkeypatch.delenv("TOOLKIT_ARTIFACTS", raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # a server of the reader's own
    for name, value in {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "HOME": str(folder)}.items():
        monkeypatch.setenv(name, value)


def run_shell(block: Block, where: str) -> str:
    command = ["bash", "-e", "-o", "pipefail", "-c", block.script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BLOCK_S)
    printed = done.stdout + done.stderr
    assert done.returncode == int(block.marks.get("exit", "0")), f"{where} left with {done.returncode}:\n{printed}"
    return printed


def run_python(block: Block, names: dict[str, object], where: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("default")  # a reader's program does not stop at one
        exec(compile(block.text, where, "exec"), names)
    return printed.getvalue()


def require_printed(told: list[str], printed: str, where: str) -> None:
    """Hold that each line that is told was printed, but for its figures; `...` stands for anything."""
    seen = [masked(line) for line in printed.splitlines()]
    for line in filter(str.strip, told):
        start, dots, _ = masked(line).partition("...")
        found = any(each.startswith(start) if dots else each == start for each in seen)
        assert found, f"{where}: the product did not print\n{line}\nbut\n{printed}"


def masked(line: str) -> str:
    return CHANGING.sub(lambda found: " " if found[0].isspace() else "#", line).strip()


def parse(block: Block, where: str) -> None:
    """Hold what can be held of a block that is not run: its syntax, and that the names of the library are there."""
    if block.language == "json":
        json.loads(block.text)
    if block.language == "toml":
        tomllib.loads(block.text)
    if block.kind == "python":
        for node in ast.walk(ast.parse(block.text, where)):
            if isinstance(node, ast.ImportFrom) and node.module == "toolkit":
                assert {item.name for item in node.names} <= {*toolkit.__all__}, where
