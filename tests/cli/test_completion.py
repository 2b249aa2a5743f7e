"""What a shell is offered after the letters that were typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporters.kits import KITS
from toolkit.cli.completion import KIT_NAMES


def complete(words: str, folder: Path) -> set[str]:
    """Return what bash would be offered for the last of some words."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "TOOLKIT_ARTIFACTS": str(folder / "artifacts"),
        "_TOOLKIT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    program = "from toolkit.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=folder
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a model, and a folder of one's own."""
    made = tmp_path_factory.mktemp("shell")
    for name in ("runs/first", "runs/fashion", "models", "../photos"):
        (made / "artifacts" / name).mkdir(parents=True)
    (made / "artifacts/models/digits.onnx").touch()
    (made / "photos/other.onnx").touch()
    return made


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("toolkit train --recipe sp", {"speedrun"}),
        ("toolkit train --set learning_r", {"learning_rate="}),
        ("toolkit train --data mnist-", {"mnist-mini"}),
        ("toolkit train --data ph", {"photos/"}),
        ("toolkit train --device cu", {"cuda"}),
        ("toolkit train --resume f", {"first", "fashion"}),
        ("toolkit runs --delete fi", {"first"}),
        ("toolkit bench --provider cpu,cu", {"cpu,cuda"}),
        ("toolkit parity --runtime ort,openv", {"ort,openvino"}),
        ("toolkit export --kit python,w", {"python,web"}),
        ("toolkit evaluate fa", {"fashion"}),
        ("toolkit selftest photos/o", {"photos/other.onnx"}),
        ("toolkit data inf", {"info"}),
    ],
)
def test_values_are_completed(words: str, expected: set[str], folder: Path) -> None:
    assert complete(words, folder) == expected


def test_a_model_in_artifacts_is_offered_and_no_reference_is_an_engine(folder: Path) -> None:
    assert str(folder / "artifacts/models/digits.onnx") in complete(f"toolkit selftest {folder}/artifacts/m", folder)
    assert "torch" in complete("toolkit bench --runtime t", folder)
    assert not {name for name in complete("toolkit bench --runtime onnx", folder) if "widened" in name}


def test_the_kits_are_those_that_there_are() -> None:
    assert KIT_NAMES == KITS
