"""CUDA around the engines: the major version that each is built for, the libraries that it wants, the GPU itself.

The versions are read from files that the packages installed: nothing is imported, so no CUDA library is loaded.
"""

from __future__ import annotations

__all__ = [
    "CudaVersions",
    "Library",
    "check_cuda",
    "check_cuda_versions",
    "check_gpu",
    "check_libraries",
    "needed_libraries",
    "read_cuda_versions",
]

import os
import re
import site
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.doctor.report import DoctorRow
from toolkit.nvidia import DRIVER, PACKAGES, mend_libraries
from toolkit.runtimes.ort.api import WHEELS, OrtApi

# CUDA 13 dropped GPUs before Turing (CUDA 13.0 release notes): sm_75 is the least.
LEAST_CAPABILITY = (7, 5)
LEAST_DRIVER = 580
LAST_SET_BEFORE_CUDA_13 = (
    "pip install 'torch<=2.14' (CUDA 12.6 build) 'onnxruntime-gpu==1.26.*' 'nvidia-cudnn-cu12<=9.10.2'"
)
CURAND_MAJOR, CUDNN_MAJOR, TENSORRT_MAJOR = 10, 9, 10
SYSTEM_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/cuda/lib64",
    "/usr/local/lib",
)
DRIVER_TITLE = "NVIDIA driver"
LIBRARY_FILE = re.compile(r"lib(\w+)\.so\.(\d+)")


class CudaVersions(NamedTuple):
    """The CUDA versions that the installed packages were built for.

    Attributes:
        torch: such as `13.0`; None for a build without CUDA or no torch.
        ort: the same for ONNX Runtime.
    """

    torch: str | None
    ort: str | None


def read_cuda_versions() -> CudaVersions:
    """Read the versions from the installed packages' own files."""
    torch = _search("torch", "torch/version.py", pattern=r"^cuda\b.*=\s*'([\d.]+)'")
    wheels = (
        _search(name, "onnxruntime/capi/build_and_package_info.py", pattern=r"^cuda_version = '([\d.]+)'")
        for name in WHEELS
    )
    return CudaVersions(torch, next((version for version in wheels if version), None))


def check_cuda(api: Callable[[], OrtApi], gpus: list[dict[str, Any]] | None) -> list[DoctorRow]:
    """Return the rows of the versions, of each library and of the GPU.

    Args:
        api: makes the thin layer that asks the loader.
        gpus: as in `describe_environment`.
    """
    versions = read_cuda_versions()
    libraries = check_libraries(versions, api)
    return [check_cuda_versions(versions), *libraries, check_gpu(gpus, libraries)]


def check_cuda_versions(versions: CudaVersions) -> DoctorRow:
    """Compare the CUDA majors of torch and ONNX Runtime: one process can hold only one."""
    text = f"torch {versions.torch or 'without CUDA'}, onnxruntime {versions.ort or 'without CUDA'}"
    row = DoctorRow(name="CUDA versions", kind="cuda", version=text)
    torch, ort = ((version or "").split(".")[0] for version in versions)
    if not torch or not ort or torch == ort:
        return row
    return replace(
        row,
        status="fail",
        reason=f"torch is built for CUDA {torch} and onnxruntime for CUDA {ort}; one process can hold only one of them",
        mend="pip install 'torch>=2.11' 'onnxruntime-gpu>=1.28'",
    )


def check_gpu(gpus: list[dict[str, Any]] | None, libraries: Sequence[DoctorRow] = ()) -> DoctorRow:
    """Say whether the GPU and its driver can be served by CUDA 13.

    Args:
        gpus: as in `describe_environment`.
        libraries: as `check_libraries` tells; the driver's is one of them.
    """
    row = DoctorRow(name="GPU", kind="gpu")
    if not gpus and any(library.name == DRIVER_TITLE and library.opens for library in libraries):
        return replace(row, status="absent", reason="a driver's library is here, and tells of no GPU")
    if not gpus:
        return replace(row, status="absent", reason="no NVIDIA driver answers on this machine", mend=DRIVER)
    row = replace(row, version=", ".join(f"{gpu['name']} (driver {gpu['driver']})" for gpu in gpus))
    capabilities = [gpu["compute_capability"] for gpu in gpus if gpu["compute_capability"]]
    old = next((text for text in capabilities if _numbers(text) < LEAST_CAPABILITY), None)
    if old is not None:
        reason = (
            f"compute capability {old} is below 7.5, the least of CUDA 13; an older set serves it "
            "(from documents, untried)"
        )
        return replace(row, status="fail", reason=reason, mend=LAST_SET_BEFORE_CUDA_13)
    drivers = [_numbers(gpu["driver"]) for gpu in gpus if re.match(r"\d+", str(gpu["driver"]))]
    if drivers and min(drivers)[0] < LEAST_DRIVER:
        reason = f"driver {min(drivers)[0]} is older than {LEAST_DRIVER}, the least of CUDA 13"
        return replace(row, status="fail", reason=reason, mend=DRIVER)
    return row


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

    cuDNN 9 and TensorRT 10 are what releases 1.19 to 1.31 ask for (their documentation's table of requirements); cuRAND
    10 and a cuFFT one below CUDA are what NVIDIA ships beside CUDA 12 and 13.
    """
    return (
        Library(DRIVER_TITLE, "cuda", 1),
        Library("CUDA runtime", "cudart", cuda_major),
        Library("cuBLAS", "cublas", cuda_major),
        Library("cuBLASLt", "cublasLt", cuda_major),
        Library("cuRAND", "curand", CURAND_MAJOR),
        Library("cuFFT", "cufft", cuda_major - 1),
        Library("NVRTC", "nvrtc", cuda_major),
        Library("cuDNN", "cudnn", CUDNN_MAJOR),
        Library("TensorRT", "nvinfer", TENSORRT_MAJOR),
        Library("TensorRT's ONNX parser", "nvonnxparser", TENSORRT_MAJOR),
    )


def _find_libraries(folders: Iterable[Path]) -> dict[str, dict[int, Path]]:
    """Return the versioned libraries in some folders: by stem, the first file of each major version."""
    found: dict[str, dict[int, Path]] = {}
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue
        for path in paths:
            if match := LIBRARY_FILE.match(path.name):
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
    found = _find_libraries(_folders() if folders is None else folders)
    needed = needed_libraries(int(cuda.ort.split(".")[0]))
    return [
        _check_library(library, found.get(library.stem, {}), problem=opened.load_problem(library.soname))
        for library in needed
    ]


def _check_library(library: Library, found: dict[int, Path], *, problem: str | None) -> DoctorRow:
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


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _search(distribution: str, file: str, *, pattern: str) -> str | None:
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(file)))
        found = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    except (metadata.PackageNotFoundError, OSError):
        return None
    return found.group(1) if found else None
