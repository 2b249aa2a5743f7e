"""What a reader of the documents has beforehand, made once by the real commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder with a run of two epochs on mnist-mini and the model `digits.onnx` of it."""
    folder = tmp_path_factory.mktemp("small") / "artifacts"
    for words in (
        ["train", "--data", "mnist-mini", "--epochs", "2", "--name", "first"],
        ["export", "--name", "digits"],
    ):
        environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder)}
        subprocess.run([sys.executable, "-m", "toolkit", *words], check=True, env=environment, capture_output=True)
    return folder
