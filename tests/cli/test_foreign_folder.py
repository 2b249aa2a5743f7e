"""Somebody else's folder to work in: nothing in it is executed or trusted because of its name."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.plots.canvas import image_grid
from toolkit.runtimes.registry import RUNTIMES

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "toolkit",
    "exporters",
    "struct",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "pip",
    "ray",
    "pyarrow",
    "sitecustomize",
)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with everything in it that might be run for its name; what runs leaves a file in `ran`."""
    folder = tmp_path / "foreign"
    (tmp_path / "ran").mkdir()
    for name, entry in RUNTIMES.items():
        if not entry.private:
            continue
        engine = folder / "artifacts" / "runtimes" / name
        (engine / "bin").mkdir(parents=True)
        (engine / "bin" / "python").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran/{name}\n")
        (engine / "bin" / "python").chmod(0o755)
        marker = {"schema": "toolkit/private-runtime/1", "runtime": name, "packages": list(entry.private)}
        (engine / "installed.json").write_text(json.dumps(marker))
        package = engine / "node_modules" / entry.private[0].partition("@")[0]
        package.mkdir(parents=True)
        (package / "index.js").write_text(f"require('fs').writeFileSync('{tmp_path}/ran/{name}', '')\n")
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran' / name)!r}, 'w').close()\n")
    return folder


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its own script would, in a folder, for a user with an empty home."""
    named = {"TOOLKIT_ARTIFACTS", "TOOLKIT_RUNTIMES", "TOOLKIT_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME", "PYTHONPATH"}
    environment = {key: value for key, value in os.environ.items() if key not in named}
    return subprocess.run(
        [sys.executable, "-P", "-m", "toolkit", *arguments],
        cwd=folder,
        env={**environment, "HOME": str(folder.parent / "home"), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def ran(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder.parent / "ran").iterdir())


def test_engines_and_modules_of_a_foreign_folder_are_not_run(foreign: Path, model_path: Path) -> None:
    picture = foreign.parent / "picture.png"
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(picture)
    assert "artifacts" not in run_in(foreign, "runtimes", "list", "--json").stdout
    for name in ("mnn", "ort-node"):
        done = run_in(foreign, "parity", str(model_path), "--runtime", name)
        assert (done.returncode, "is not installed" in done.stderr) == (5, True), done.stderr
    assert run_in(foreign, "predict", str(model_path), str(picture)).returncode == 0
    # It fails for want of an index, after pip was run.
    assert "pip cannot install" in run_in(foreign, "runtimes", "install", "mnn").stderr
    assert ran(foreign) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("doctor",),
        ("parity", "MODEL", "--runtime", "all", "--sample", "20"),
        ("bench", "MODEL", "--auto", "--seconds", "0.1"),
        ("predict", "MODEL", "PICTURES", "--executor", "ray"),
    ],
    ids=lambda words: words[0],
)
def test_commands_that_ask_every_engine_run_none_of_a_foreign_folder(
    foreign: Path, model_path: Path, words: tuple[str, ...]
) -> None:
    pictures = foreign.parent / "pictures"
    pictures.mkdir()
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(pictures / "picture.png")
    given = {"MODEL": str(model_path), "PICTURES": str(pictures)}
    done = run_in(foreign, *(given.get(word, word) for word in words))
    assert "bug" not in done.stderr
    assert ran(foreign) == []


def test_every_python_that_is_started_leaves_the_working_folder_off_its_path() -> None:
    started = 0
    for path in [*(ROOT / "toolkit").rglob("*.py"), *(ROOT / "exporters").rglob("*.py")]:
        text = path.read_text()
        if "sys.executable" not in text and "python" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.List)
                and node.elts
                and ast.unparse(node.elts[0]) in {"sys.executable", "python", "str(python)"}
            ):
                assert ast.unparse(node.elts[1]) in {"'-P'", "'-I'"}, f"{path.name}:{node.lineno}"
                started += 1
    assert started >= 6


def test_pictures_are_drawn_without_the_working_folders_settings(foreign: Path) -> None:
    (foreign / "matplotlibrc").write_text("font.size: 40\naxes.facecolor: red\ntext.usetex: True\n")
    program = (
        "import hashlib, numpy as np; from toolkit.plots.canvas import image_grid;"
        "print(hashlib.sha256(image_grid(np.zeros((1, 8, 8), np.uint8), ['7 (was 2)'], columns=1)).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=foreign, capture_output=True, text=True, check=True
    )
    here = image_grid(np.zeros((1, 8, 8), np.uint8), ["7 (was 2)"], columns=1)
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()
