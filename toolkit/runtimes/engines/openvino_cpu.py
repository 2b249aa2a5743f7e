"""OpenVINO on the CPU, through its own Python package and not as a provider of ONNX Runtime."""

from __future__ import annotations

__all__ = ["OpenVinoRuntime"]

import threading
from typing import Any, ClassVar

import openvino
from numpy.typing import NDArray

from toolkit.errors import ResourceError, UsageError
from toolkit.onnx_file.element_types import SMALL_BITS, find_dtype
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing

# Left to itself it computes in bfloat16 wherever the processor can.
HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoRuntime(Runtime):
    """A file compiled by OpenVINO for this processor."""

    name: ClassVar[str] = "openvino"

    def _open(self, source: ModelSource) -> None:
        if self.settings.precision not in HINTS:
            raise UsageError(f"the openvino runtime computes in {', '.join(HINTS)}, not {self.settings.precision}")
        options = {"INFERENCE_PRECISION_HINT": HINTS[self.settings.precision]}
        if self.settings.threads:
            options["INFERENCE_NUM_THREADS"] = str(self.settings.threads)
        if self.settings.runs_at_once > 1:
            options["NUM_STREAMS"] = str(self.settings.runs_at_once)
        core = openvino.Core()
        with refusing("OpenVINO", RuntimeError):
            self._compiled = core.compile_model(core.read_model(source.model), "CPU", options)
        active = str(self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        if active != HINTS[self.settings.precision]:
            raise ResourceError(f"OpenVINO computes in {active} on this processor, not in {self.settings.precision}")
        self._requests = threading.local()
        details = {"precision": active}
        self.info = self._describe_file(source, version=openvino.__version__.split("-")[0], details=details)
        # Its reader drops an input that no node reads, and a request refuses to be fed it.
        known = {name for port in self._compiled.inputs for name in port.get_names()}
        self._taken = [spec.name for spec in self.info.inputs if spec.name in known]
        dropped = [spec.name for spec in self.info.inputs if spec.name not in known]
        if dropped:
            self.note(f"OpenVINO has dropped the inputs that no node reads, and is not fed them: {', '.join(dropped)}")

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run one request, of which every thread has its own; see `Runtime.compute`."""
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        # Copies: the request writes its next answers into the same memory.
        outputs = request.infer({name: feeds[name] for name in self._taken}, share_outputs=False)
        return {spec.name: _as_declared(outputs[spec.name], spec.dtype) for spec in self.info.outputs}


def _as_declared(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return numbers of a type that NumPy has not, which OpenVINO hands out as others of as many bits."""
    if SMALL_BITS.get(dtype) != 8 * array.itemsize:
        return array
    return array.view(find_dtype(dtype))
