"""NVIDIA's libraries without a driver: a Python of their own, made by `make test-cuda-libraries`; skipped without it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
def cuda_python() -> Iterator[Path]:
    """An interpreter with the CUDA builds of torch and ONNX Runtime, and this project with the rest from here."""
    python = Path(os.environ[FOLDER_VARIABLE]).absolute() / "bin" / "python"
    told = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    done = subprocess.run([python, "-c", told], capture_output=True, text=True, check=True)
    # Behind what is installed there, so that nothing of here takes its place.
    rest = [path for path in sys.path if "site-packages" in path]
    pointer = Path(done.stdout.strip()) / "zz_project.pth"
    pointer.write_text("\n".join([str(ROOT), *rest]) + "\n")
    yield python
    pointer.unlink()  # pip would take what lies here for installed there


@pytest.fixture(scope="session")
def nvidia_folder(cuda_python: Path) -> Path:
    """Where NVIDIA's packages lie; what a killed run had hidden is put back."""
    (folder,) = cuda_python.parents[1].glob("lib/python3*/site-packages/nvidia")
    for hidden in folder.glob("*/lib/hidden-*"):
        hidden.rename(hidden.with_name(hidden.name.removeprefix("hidden-")))
    return folder


@pytest.fixture
def renamed(nvidia_folder: Path) -> Callable[[str, str], contextlib.AbstractContextManager[None]]:
    """Gives a library another name for a while."""

    @contextlib.contextmanager
    def rename(library: str, name: str) -> Iterator[None]:
        (path,) = nvidia_folder.glob(f"*/lib/{library}")
        other = path.rename(path.with_name(name))
        try:
            yield
        finally:
            other.rename(path)

    return rename


@pytest.fixture
def run_toolkit(cuda_python: Path, trained: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in that Python, with a trained run and its model at hand."""

    def run(*words: str | Path, libraries: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(trained), "COLUMNS": "400"}
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if libraries is not None:
            environment["LD_LIBRARY_PATH"] = str(libraries)
        command = [cuda_python, "-m", "toolkit", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)

    return run
