"""MNN: the file converted by its own converter, both in a private environment (the package wants protobuf < 6)."""

from __future__ import annotations

__all__ = ["MnnRuntime"]

from typing import Any, ClassVar

import _tools  # MNN's converter; `MNN.tools` around it installs and feeds a usage log and is never imported
import MNN
import MNN.expr
import MNN.nn
import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime

DTYPES = {"uint8": "uint8", "int8": "int8", "int32": "int", "int64": "int64", "float32": "float", "float64": "double"}
# Winograd's transforms lose two digits on 5x5 kernels (errors of 4e-4 for 4e-6); 0 leaves only its smallest tiles.
WINOGRAD_MEMORY_LEVEL, SMALLEST_TILES = 3, 0


class MnnRuntime(Runtime):
    """A file as MNN's own graph in float32; its batch axis stays symbolic."""

    name: ClassVar[str] = "mnn"

    def _open(self, source: ModelSource) -> None:
        # What MNN cannot hold in 64 bits comes back in 32: its integers are widened, exactly.
        details = {"precision": "high", "winograd_memory_level": SMALLEST_TILES, "int64_outputs": "widened from int32"}
        self.info = self._describe_file(source, version=MNN.version(), details=details)
        with open("model.onnx", "wb") as file:  # noqa: PTH123 - it reads files only; a worker's folder is its own
            file.write(source.model)
        names = ["--modelFile", "model.onnx", "--MNNModel", "model.mnn"]
        if not _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *names, "--bizCode", "toolkit"]):
            raise ModelError("MNN refuses the model; its converter's own words are in the log")
        threads = {"numThread": self.settings.threads} if self.settings.threads else {}
        self._manager = MNN.nn.create_runtime_manager(({"backend": 0, "precision": "high", **threads},))
        self._manager.set_hint(WINOGRAD_MEMORY_LEVEL, SMALLEST_TILES)
        inputs, outputs = ([spec.name for spec in specs] for specs in (self.info.inputs, self.info.outputs))
        self._module = MNN.nn.load_module_from_file("model.mnn", inputs, outputs, runtime_manager=self._manager)

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the module; see `Runtime.compute`."""
        values = self._module.forward([_to_variable(feeds[spec.name]) for spec in self.info.inputs])
        answers = {}
        for spec, value in zip(self.info.outputs, values, strict=True):
            array = np.array(MNN.expr.convert(value, MNN.expr.NCHW).read())
            answers[spec.name] = array.astype(np.int64) if f"{array.dtype}>{spec.dtype}" == "int32>int64" else array
        return answers


def _to_variable(array: NDArray[Any]) -> Any:
    if str(array.dtype) not in DTYPES:
        raise ModelError(f"MNN takes no {array.dtype}; it takes {', '.join(DTYPES)}")
    kind = getattr(MNN.expr, DTYPES[str(array.dtype)])
    return MNN.expr.const(np.ascontiguousarray(array), list(array.shape), MNN.expr.NCHW, kind)
