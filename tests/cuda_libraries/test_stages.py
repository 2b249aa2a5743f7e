"""The way to a GPU, stage by stage: each says the one thing that is missing, and advises that alone."""

from __future__ import annotations

import contextlib
import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.artifacts import ArtifactStore
from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source
from toolkit.nvidia import CUDA_BUILD, DRIVER

Run = Callable[..., subprocess.CompletedProcess[str]]
Rename = Callable[[str, str], contextlib.AbstractContextManager[None]]
PACKAGES = "onnxruntime-gpu[cuda,cudnn]"
LIBRARIES = (
    *("libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10", "libcudart.so.13"),
    *("libcudnn.so.9", "libnvrtc.so.13", "libcufft.so.12"),
)
TRAIN = ("train", "--data", "mnist-mini", "--epochs", "1", "--device", "cuda")
# What the driver starts with, the CUDA that it names, what both engines then say of it and what helps.
DRIVERS = {
    "no device": (100, 13000, ("no CUDA-capable device", "No CUDA GPUs are available"), "a GPU that the driver sees"),
    "stub library": (34, 13000, ("stub library",) * 2, "take its folder out of LD_LIBRARY_PATH"),
    "too old": (0, 12080, ("driver version is insufficient", "too old (found version 12080)"), "a newer NVIDIA driver"),
    "unknown error": (999, 13000, ("unknown error",) * 2, "a restart of the machine"),
}


def _named(words: str) -> set[str]:
    """Return the libraries that a message names."""
    return set(re.findall(r"lib[\w-]+\.so(?:\.\d+)?", words))


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a `libcuda.so.1` for each of the drivers."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("there is no C compiler here to make a driver with")
    source, folders = Path(__file__).with_name("stub_driver.c"), {}
    for name, (start, version, *_) in DRIVERS.items():
        folders[name] = tmp_path_factory.mktemp("driver")
        defines = [f"-DSTART={start}", f"-DVERSION={version}"]
        shared = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(folders[name] / "libcuda.so.1")]
        subprocess.run([compiler, "-Wall", "-Werror", *defines, *shared, str(source)], check=True)
    return folders


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    path = tmp_path / "digits.npy"
    np.save(path, np.zeros((2, 28, 28), np.uint8))
    return path


def test_with_every_library_the_driver_alone_is_missing_in_every_command(run_toolkit: Run, digits: Path) -> None:
    asked: dict[tuple[Any, ...], str] = {
        ("bench", "--provider", "cuda"): "libcuda.so.1",
        ("parity", "--runtime", "ort", "--provider", "cuda"): "libcuda.so.1",
        ("predict", digits, "--provider", "cuda"): "libcuda.so.1",
        ("selftest", "--provider", "cuda"): "libcuda.so.1",
        ("doctor", "--require", "cuda"): "libcuda.so.1",
        ("doctor", "--require", "torch/cuda"): "Found no NVIDIA driver",
        TRAIN: "Found no NVIDIA driver",
    }
    for words, problem in asked.items():
        done = run_toolkit(*words)
        said = done.stderr.splitlines()[-1]
        assert (done.returncode, problem in said) == (5, True), (words, done.stderr)
        assert DRIVER in said, said
        assert _named(said) <= {"libcuda.so.1"}, said
        assert "pip" not in said


def test_doctor_tells_the_driver_alone(run_toolkit: Run) -> None:
    said = run_toolkit("doctor").stdout
    assert f"CUDA does not work: no NVIDIA driver answers on this machine.\n      install {DRIVER}" in said
    assert PACKAGES not in said


def test_python_kit_tells_the_driver_alone(cuda_python: Path, model_path: Path, tmp_path: Path) -> None:
    config, store = KitConfig(kits=("python",)), ArtifactStore(root=tmp_path)
    folder = put_kit("python", read_kit_source(model_path), config=config, store=store)
    (package,) = (path.name for path in folder.iterdir() if (path / "model.onnx").is_file())
    command = [cuda_python, "-m", package, "--selfcheck", "--provider", "cuda"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1), done.stderr
    assert (_named(done.stderr), DRIVER in done.stderr) == ({"libcuda.so.1"}, True)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_is_missing_is_named_and_no_other(run_toolkit: Run, renamed: Rename, library: str) -> None:
    with renamed(library, f"hidden-{library}"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(library)
            pytest.skip(f"this system has a {library} of its own, which cannot be hidden")
        bench, trained = run_toolkit("bench", "--provider", "cuda"), run_toolkit(*TRAIN)
        doctor = run_toolkit("doctor")
    said = bench.stderr.splitlines()[-1]
    assert (bench.returncode, _named(said)) == (5, {library, "libcuda.so.1"}), said
    assert PACKAGES in said
    assert DRIVER in said
    # torch loads all of them at its start.
    assert trained.returncode == 5
    stem = library.partition(".so")[0]
    assert re.search(rf"broken: {stem}\.so\S*(: cannot open shared object file| not found)", trained.stderr), (
        trained.stderr
    )
    assert CUDA_BUILD.removeprefix("pip ") in trained.stderr
    assert re.search(rf"{re.escape(library)}: (not found|cannot open shared object file)", doctor.stdout)
    # cuBLAS lies there and does not open without cuBLASLt; torch names cudart without its number.
    others = {"libnvinfer.so.10", "libnvonnxparser.so.10", "libcublas.so.13", f"{stem}.so"}
    assert _named(doctor.stdout) <= {library, "libcuda.so.1", *others}


def test_a_cudnn_of_another_major_is_told_with_both_numbers(run_toolkit: Run, renamed: Rename) -> None:
    with renamed("libcudnn.so.9", "libcudnn.so.8"):
        bench, doctor = run_toolkit("bench", "--provider", "cuda"), run_toolkit("doctor")
    assert _named(bench.stderr.splitlines()[-1]) == {"libcudnn.so.9", "libcuda.so.1"}
    assert "onnxruntime wants libcudnn.so.9; on this machine lies major version 8 (" in doctor.stdout
    assert PACKAGES in doctor.stdout


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_that_refuses_is_told_in_its_words(run_toolkit: Run, drivers: dict[str, Path], name: str) -> None:
    _, _, (of_ort, of_torch), mend = DRIVERS[name]
    for words, problem in ((("bench", "--provider", "cuda"), of_ort), (TRAIN, of_torch)):
        done = run_toolkit(*words, libraries=drivers[name])
        (said,) = done.stderr.splitlines()[-1:]
        assert (done.returncode, problem in said, mend in said) == (5, True, True), done.stderr
        assert "hostname" not in said
        assert "UserWarning" not in done.stderr
        assert DRIVER not in said
    doctor = run_toolkit("doctor", libraries=drivers[name]).stdout
    assert of_ort in doctor
    assert mend in doctor
    assert "no NVIDIA driver answers" not in doctor
    assert DRIVER not in doctor


def test_a_library_that_is_missing_is_told_beside_what_the_driver_answers(
    run_toolkit: Run, renamed: Rename, drivers: dict[str, Path]
) -> None:
    with renamed("libcudnn.so.9", "hidden-libcudnn.so.9"):
        said = run_toolkit("bench", "--provider", "cuda", libraries=drivers["no device"]).stderr.splitlines()[-1]
    assert "no CUDA-capable device is detected; and libcudnn.so.9: cannot open" in said
    assert "a GPU that the driver sees" in said
    assert PACKAGES in said


def test_every_device_option_is_one_that_the_provider_knows(run_toolkit: Run, drivers: dict[str, Path]) -> None:
    # It reads its options before it asks for a device: a name or a value that it does not know would be told first.
    options = ("--device-option", "nhwc=true", "--tf32", "--cuda-graph")
    for search in ("exhaustive", "heuristic", "default"):
        words = ("bench", "--provider", "cuda", *options, "--device-option", f"algorithm_search={search}")
        done = run_toolkit(*words, libraries=drivers["no device"])
        assert "no CUDA-capable device" in done.stderr.splitlines()[-1]
