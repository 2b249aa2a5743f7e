"""What this machine has, asked of the product's own worker."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from tiny_models import build_card, build_model

from toolkit.durable import sha256_bytes
from toolkit.errors import ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import WorkerRuntime

__all__ = ["skip_where_cuda_works"]


@cache
def _cuda_works() -> bool:
    model = build_model(card=build_card()).SerializeToString()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("tiny.onnx"))
    try:
        WorkerRuntime(source, RuntimeSettings(provider="cuda")).close()
    except ToolkitError:
        return False
    return True


def skip_where_cuda_works() -> None:
    """Skip a test of the refusal on a machine where CUDA is not refused."""
    if _cuda_works():
        pytest.skip("the CUDA provider works here, so nothing is refused")
