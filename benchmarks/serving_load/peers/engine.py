"""The engine as every server here holds it: ONNX Runtime with one thread."""

from __future__ import annotations

__all__ = ["LARGEST", "MODEL", "PORT", "SIDE", "answer_together", "open_model"]

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

MODEL = os.environ.get("BENCHMARK_MODEL", "")
PORT = int(os.environ.get("BENCHMARK_PORT", "8000"))
SIDE = 28
# The largest batch, as of `toolkit serve`.
LARGEST = 64


def open_model(path: str = MODEL) -> Any:
    """Open a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answer_together(session: Any, parts: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run several requests as one batch and return the outputs of each."""
    outputs = session.run(None, {"images": np.concatenate(parts)})
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    return list(zip(*(np.split(output, cuts) for output in outputs), strict=True))
