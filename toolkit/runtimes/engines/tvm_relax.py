"""TVM: the file through Relax, compiled by LLVM, untuned."""

from __future__ import annotations

__all__ = ["TvmRuntime"]

from typing import Any, ClassVar

import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing


class TvmRuntime(Runtime):
    """A file compiled ahead of time; its batch axis stays symbolic."""

    name: ClassVar[str] = "tvm"

    def _open(self, source: ModelSource) -> None:
        with refusing("TVM", tells_type=True):  # the importer's and the compiler's errors share no base
            module = from_onnx(onnx.ModelProto.FromString(source.model), keep_params_in_input=False)
            executable = tvm.compile(module, target="llvm")
        self._function = relax.VirtualMachine(executable, tvm.cpu())["main"]
        self.info = self._describe_file(source, version=tvm.__version__)

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Call the compiled function; see `Runtime.compute`."""
        inputs = [tvm.runtime.tensor(np.asarray(feeds[spec.name], order="C")) for spec in self.info.inputs]
        values = self._function(*inputs)
        # One output comes as itself, several as a sequence.
        values = [values] if len(self.info.outputs) == 1 else values
        return {spec.name: value.numpy() for spec, value in zip(self.info.outputs, values, strict=True)}
