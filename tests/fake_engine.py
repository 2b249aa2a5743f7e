"""A stand-in for an opened worker: what one variant of a benchmark meets, in a dozen lines."""

from __future__ import annotations

__all__ = ["FakeEngine", "make_info"]

from typing import Any

import numpy as np

from toolkit.closing import Closing
from toolkit.errors import ToolkitError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.runtimes.base import RuntimeInfo
from toolkit.runtimes.timing.plan import Window

IMAGES = TensorSpec(name="images", dtype="uint8", shape=("batch", 8, 8))


def make_info(provider: str = "cpu", **changes: Any) -> RuntimeInfo:
    """Return what an engine on `provider` says about itself."""
    fields: dict[str, Any] = {
        "runtime": "ort",
        "version": "1.0",
        "provider_active": provider,
        "inputs": (IMAGES,),
        "outputs": (TensorSpec(name="logits", dtype="float32", shape=("batch", 3)),),
        "placement": {provider: 3},
    }
    return RuntimeInfo(**{**fields, **changes})


class FakeEngine(Closing):
    """An engine that answers, or raises what it is told to."""

    def __init__(
        self,
        info: RuntimeInfo | None = None,
        *,
        metadata: dict[str, str] | None = None,
        run_error: ToolkitError | None = None,
        measure_error: ToolkitError | None = None,
        failing_batch: int | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        self.info = info or make_info()
        self.model_summary: dict[str, Any] = {"metadata": metadata or {}}
        self.cold_ms = {"import_ms": 30.0, "load_ms": 20.0}
        self.fed: list[Any] = []
        self._run_error, self._measure_error = run_error, measure_error
        self._failing_batch = failing_batch
        self._outputs = outputs or {}

    def run(self, feeds: Any) -> dict[str, Any]:
        if self._run_error is not None:
            raise self._run_error
        return self._outputs

    def measure(self, feeds: Any, plan: Any) -> Window:
        self.fed.append(feeds)
        if self._measure_error is not None and self._failing_batch in {None, len(feeds["images"])}:
            raise self._measure_error
        samples = np.full(plan.min_calls, 1_000_000, np.int64)
        return Window(5_000_000, samples, samples, {})
