"""NVIDIA's libraries: which one the installed ONNX Runtime wants, which ones lie on the disk, what the loader says."""

from __future__ import annotations

__all__ = ["Library", "check_libraries", "find_libraries", "needed_libraries"]

import os
import re
import site
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from toolkit.doctor.cuda import CudaVersions
from toolkit.doctor.report import DoctorRow
from toolkit.nvidia import PACKAGES, mend_libraries
from toolkit.runtimes.ort.api import OrtApi

CUDNN_MAJOR, TENSORRT_MAJOR = 9, 10
SYSTEM_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/cuda/lib64",
    "/usr/local/lib",
)
NAME = re.compile(r"lib(\w+)\.so\.(\d+)")


class Library(NamedTuple):
    """A shared library that ONNX Runtime wants.

    Attributes:
        title: what people call it.
        stem: its name between `lib` and `.so`.
        major: the version in its file name.
    """

    title: str
    stem: str
    major: int

    @property
    def soname(self) -> str:
        """The file name that the loader looks for."""
        return f"lib{self.stem}.so.{self.major}"


def needed_libraries(cuda_major: int) -> tuple[Library, ...]:
    """Return what an ONNX Runtime built for a CUDA version loads.

    cuDNN 9 and TensorRT 10 are what releases 1.19 to 1.31 ask for (their documentation's table of requirements).
    """
    return (
        Library("NVIDIA driver", "cuda", 1),
        Library("CUDA runtime", "cudart", cuda_major),
        Library("cuBLAS", "cublas", cuda_major),
        Library("cuBLASLt", "cublasLt", cuda_major),
        Library("cuDNN", "cudnn", CUDNN_MAJOR),
        Library("TensorRT", "nvinfer", TENSORRT_MAJOR),
        Library("TensorRT's ONNX parser", "nvonnxparser", TENSORRT_MAJOR),
    )


def find_libraries(folders: Iterable[Path]) -> dict[str, dict[int, Path]]:
    """Return the versioned libraries in some folders: by stem, the first file of each major version."""
    found: dict[str, dict[int, Path]] = {}
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue
        for path in paths:
            if match := NAME.match(path.name):
                found.setdefault(match[1], {}).setdefault(int(match[2]), path)
    return found


def check_libraries(
    cuda: CudaVersions, api: Callable[[], OrtApi], *, folders: Iterable[Path] | None = None
) -> list[DoctorRow]:
    """Return a row for each library that the installed ONNX Runtime wants; none for a build without CUDA.

    Args:
        cuda: what the installed packages were built for.
        api: makes the thin layer that asks the loader.
        folders: where libraries may lie; the Python packages and the system's folders by default.
    """
    if cuda.ort is None or not sys.platform.startswith("linux"):
        return []
    try:
        opened = api()
        opened.preload()
    except Exception:  # noqa: BLE001 - the row of the installation says why it cannot be imported
        return []
    found = find_libraries(_folders() if folders is None else folders)
    needed = needed_libraries(int(cuda.ort.split(".")[0]))
    return [_judge(library, found.get(library.stem, {}), opened.load_problem(library.soname)) for library in needed]


def _judge(library: Library, found: dict[int, Path], problem: str | None) -> DoctorRow:
    have = ", ".join(f"{major} ({path})" for major, path in sorted(found.items()))
    package = PACKAGES.get(library.stem)
    missing = f"none; it is in {package}" if package else "none"
    seen = have or ("loads" if problem is None else missing)
    row = DoctorRow(name=library.title, kind="library", version=f"{library.soname}: {seen}", opens=problem is None)
    if problem is None:
        return row
    if library.major in found:
        reason = f"{found[library.major]} is here and does not load: {problem}"
    elif found:
        reason = f"onnxruntime wants {library.soname}; on this machine lies major version {have}"
    else:
        reason = problem
    return replace(row, status="fail" if found else "absent", reason=reason, mend=mend_libraries([library.soname]))


def _folders() -> list[Path]:
    packages = {Path(text) for text in (*site.getsitepackages(), site.getusersitepackages(), *sys.path) if text}
    inside = [
        folder
        for root in sorted(packages)
        for pattern in ("nvidia/*/lib", "nvidia/*/*/lib", "tensorrt_libs", "tensorrt*/")
        for folder in sorted(root.glob(pattern))
    ]
    own = [Path(text) for text in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if text]
    return [*own, *inside, *map(Path, SYSTEM_FOLDERS)]
