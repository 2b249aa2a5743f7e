"""NVIDIA's libraries without a driver: a Python of their own, made by `make test-cuda-libraries`; skipped without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER_VARIABLE = "TOOLKIT_CUDA_LIBRARIES"
ABSENT = "needs NVIDIA's libraries in a Python of their own: make test-cuda-libraries"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip it where the libraries are not."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cuda_libraries)
            if FOLDER_VARIABLE not in os.environ:
                item.add_marker(pytest.mark.skip(reason=ABSENT))


@pytest.fixture(scope="session")
def cuda_python() -> Path:
    """An interpreter with the CUDA builds of torch and ONNX Runtime, and this project with the rest from here."""
    python = Path(os.environ[FOLDER_VARIABLE]).absolute() / "bin" / "python"
    told = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    done = subprocess.run([python, "-c", told], capture_output=True, text=True, check=True)
    # Behind what is installed there, so that nothing of here takes its place.
    rest = [path for path in sys.path if "site-packages" in path]
    (Path(done.stdout.strip()) / "zz_project.pth").write_text("\n".join([str(ROOT), *rest]) + "\n")
    return python
