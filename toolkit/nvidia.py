"""What may be missing of NVIDIA's, and what brings it: advice by the library that the dynamic loader misses."""

from __future__ import annotations

__all__ = ["DRIVER", "JOINT", "PACKAGES", "explain_no_gpu", "mend_libraries", "mend_words"]

import os
import re
from collections.abc import Iterable

DRIVER = "an NVIDIA driver >= 580 (in a container: start it with its GPU, docker run --gpus all)"
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
NO_GPU = re.compile(r"\bCUDA failure (?:35|100)\b|no CUDA-capable device|driver version is insufficient", re.IGNORECASE)


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
    if NO_GPU.search(words):
        return explain_no_gpu()
    return mend_libraries(["libcudnn.so"]) if "cudnn" in words.lower() else mend_libraries([words])


def explain_no_gpu() -> str:
    """Return what shows a GPU to CUDA's libraries, which are here."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"another CUDA_VISIBLE_DEVICES: {hidden!r} hides every GPU" if hidden in {"", "-1"} else DRIVER
