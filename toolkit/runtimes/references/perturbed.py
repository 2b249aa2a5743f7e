"""How far a file's answers move when its numbers do by one rounding: stands in where float64 cannot be had."""

from __future__ import annotations

__all__ = ["PerturbedRuntime"]

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from toolkit.onnx_file.element_types import is_float
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime, RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.values import flatten_values

# Different signs in each; the largest of eight is near what rounding does to one output.
DRAWS = 8
SEED = 20_261_125
MOVED = ("float32", "float16")
UNOPTIMISED = RuntimeSettings(optimisation="none")


class PerturbedRuntime(Runtime):
    """Unoptimised ONNX Runtime on weights and inputs that are each moved up or down by one unit in the last place.

    Every answer is the largest distance, over the draws, from the file's own answer: `[]` in float64 for each output of
    floats, and for each array of one that is no tensor.
    """

    name: ClassVar[str] = "ort-jittered"

    def _open(self, source: ModelSource) -> None:
        self._generator = np.random.default_rng(SEED)
        model = onnx.ModelProto.FromString(source.model)
        self._own = OrtRuntime(source, UNOPTIMISED)
        self._moved = [OrtRuntime(replace(source, model=self._perturb(model)), UNOPTIMISED) for _ in range(DRAWS)]
        self.info = replace(self._own.info, runtime=self.name)

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the file and its moved copies; see `Runtime.compute`."""
        own = self._run(self._own, feeds)
        moved = [
            self._run(opened, {name: self._move(array) for name, array in feeds.items()}) for opened in self._moved
        ]
        return {name: np.array(max(_distance(values[name], array) for values in moved)) for name, array in own.items()}

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Return the distances: neither their types nor their sizes are what the file declares."""
        return self.compute(feeds)

    def _run(self, opened: OrtRuntime, feeds: Arrays) -> dict[str, NDArray[Any]]:
        return flatten_values(opened.compute(feeds), {spec.name: spec.dtype for spec in self.info.outputs}).arrays

    def _perturb(self, model: onnx.ModelProto) -> bytes:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for tensor in copy.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.dtype.name in MOVED:
                tensor.CopyFrom(numpy_helper.from_array(self._move(array), tensor.name))
        return bytes(copy.SerializeToString())

    def _move(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.name not in MOVED:
            return array
        direction = self._generator.choice([-np.inf, np.inf], array.shape).astype(array.dtype)
        moved: NDArray[Any] = np.asarray(np.nextafter(array, direction))
        # A zero is exact wherever it comes from, and padding or a mask is made of them.
        return np.where((array == 0) | ~np.isfinite(array), array, moved)


def _distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.shape != other.shape or not is_float(one.dtype):
        return 0.0
    both = np.isfinite(one) & np.isfinite(other)
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64))[both].max(initial=0.0))
