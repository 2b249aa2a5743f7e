"""What may be missing of NVIDIA's, and what brings it: advice by the library that the dynamic loader misses."""

from __future__ import annotations

__all__ = [
    "CUDA_BUILD",
    "DRIVER",
    "JOINT",
    "PACKAGES",
    "explain_no_gpu",
    "mend_driver",
    "mend_import",
    "mend_libraries",
    "mend_words",
]

import os
import re
from collections.abc import Iterable

DRIVER = "an NVIDIA driver >= 580 (in a container: start it with its GPU, docker run --gpus all)"
# What PyPI serves for Linux and Windows from torch 2.11 on; with it come the libraries that it was built with.
CUDA_BUILD = "pip install --force-reinstall 'torch>=2.11'"
# Between two remedies that are both needed.
JOINT = ", and "
LIBRARY = re.compile(r"\blib(\w+)\.so\b")
# The package of each library; the extras of onnxruntime-gpu 1.28 and later bring them all, in versions that fit.
PACKAGES = {
    "cudart": "nvidia-cuda-runtime",
    "cublas": "nvidia-cublas",
    "cublasLt": "nvidia-cublas",
    "cufft": "nvidia-cufft",
    "curand": "nvidia-curand",
    "nvrtc": "nvidia-cuda-nvrtc",
    "cudnn": "nvidia-cudnn-cu13",
}
TENSORRT = {"nvinfer", "nvonnxparser"}
NO_DEVICE = re.compile(r"\bCUDA (?:failure|error) 100\b|no CUDA(?:-capable device| GPUs are)", re.IGNORECASE)
# What CUDA answers where every library is there, by its numbers (the driver's and the runtime's are the same) and in
# torch's words, and what helps.
ANSWERS = (
    (
        re.compile(r"\bCUDA (?:failure|error) 34\b", re.IGNORECASE),
        "the driver's own libcuda.so.1: CUDA's stub for linking was found; take its folder out of LD_LIBRARY_PATH",
    ),
    (
        re.compile(r"\bCUDA (?:failure|error) 35\b|driver version is insufficient|driver .*is too old", re.IGNORECASE),
        "a newer NVIDIA driver: >= 580",
    ),
    (
        re.compile(r"\bCUDA (?:failure|error) (?:3|803|804|999)\b|CUDA unknown error", re.IGNORECASE),
        "a restart of the machine, as after an update of the driver; nvidia-smi tells more",
    ),
)


def mend_libraries(problems: Iterable[str]) -> str:
    """Return what brings the libraries that the loader misses; empty where none of them is NVIDIA's.

    Args:
        problems: the loader's words, or the libraries' names: `libcublasLt.so.13: cannot open shared object file`.
    """
    stems = [match[1] for problem in problems if (match := LIBRARY.search(problem))]
    parts = []
    if not TENSORRT.isdisjoint(stems):
        parts.append("pip install 'tensorrt-cu13>=10,<11'")
    if not PACKAGES.keys().isdisjoint(stems):
        parts.append("pip install 'onnxruntime-gpu[cuda,cudnn]'")
    if "cuda" in stems:
        parts.append(DRIVER)
    return JOINT.join(parts)


def mend_words(words: str) -> str:
    """Return what helps against an engine's failure, by its words; empty where they name nothing that is missing."""
    return mend_driver(words) or mend_libraries(["libcudnn.so" if "cudnn" in words.lower() else words])


def mend_driver(words: str) -> str:
    """Return what helps against the driver's own refusal; empty where the words are of something else."""
    if NO_DEVICE.search(words):
        return explain_no_gpu("a GPU that the driver sees: nvidia-smi -L (in a container: docker run --gpus all)")
    return next((mend for pattern, mend in ANSWERS if pattern.search(words)), "")


def mend_import(words: str) -> str:
    """Return what brings torch's libraries, one of which kept it from being imported; empty where none of them did."""
    match = LIBRARY.search(words)
    return CUDA_BUILD if match and match[1].startswith(("cu", "nv", "nccl")) else ""


def explain_no_gpu(otherwise: str = DRIVER) -> str:
    """Return what shows a GPU to CUDA's libraries, which are here.

    Args:
        otherwise: what it is where the environment hides none.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"another CUDA_VISIBLE_DEVICES: {hidden!r} hides every GPU" if hidden in {"", "-1"} else otherwise
