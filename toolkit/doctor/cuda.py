"""CUDA around the engines: which major version each is built for, and what the GPU itself can be served by.

Read from files that the packages installed; nothing is imported, so no CUDA library is loaded.
"""

from __future__ import annotations

__all__ = ["CudaVersions", "check_cuda_versions", "check_gpu", "read_cuda_versions"]

import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.doctor.report import DoctorRow
from toolkit.nvidia import DRIVER
from toolkit.runtimes.ort.api import WHEELS

# CUDA 13 dropped GPUs before Turing (CUDA 13.0 release notes): sm_75 is the least.
LEAST_CAPABILITY = (7, 5)
LEAST_DRIVER = 580
LAST_SET_BEFORE_CUDA_13 = (
    "pip install 'torch<=2.14' (CUDA 12.6 build) 'onnxruntime-gpu==1.26.*' 'nvidia-cudnn-cu12<=9.10.2'"
)


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
    torch = _search("torch", "torch/version.py", r"^cuda\b.*=\s*'([\d.]+)'")
    wheels = (
        _search(name, "onnxruntime/capi/build_and_package_info.py", r"^cuda_version = '([\d.]+)'") for name in WHEELS
    )
    return CudaVersions(torch, next((version for version in wheels if version), None))


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
        mend="pip install 'torch>=2.11' 'onnxruntime-gpu>=1.28' (both are CUDA 13)",
    )


def check_gpu(gpus: list[dict[str, Any]] | None) -> DoctorRow:
    """Say whether the GPU and its driver can be served by CUDA 13; `gpus` as in `describe_environment`."""
    row = DoctorRow(name="GPU", kind="gpu")
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


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _search(distribution: str, file: str, pattern: str) -> str | None:
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(file)))
        found = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    except (metadata.PackageNotFoundError, OSError):
        return None
    return found.group(1) if found else None
