"""IREE: the file through MLIR, compiled by LLVM for this processor."""

from __future__ import annotations

__all__ = ["IreeRuntime"]

import importlib.metadata
from typing import Any, ClassVar

import iree.compiler
import iree.runtime
import numpy as np
import onnx
from iree.compiler.extras import onnx_importer
from numpy.typing import NDArray

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing


class IreeRuntime(Runtime):
    """A file compiled ahead of time; its batch axis stays symbolic."""

    name: ClassVar[str] = "iree"

    def _open(self, source: ModelSource) -> None:
        with refusing("IREE"):  # the importer's and the compiler's errors share no base
            module, function = _import_model(source.model)
            binary = iree.compiler.compile_str(
                module,
                target_backends=["llvm-cpu"],
                input_type="onnx",
                extra_args=["--iree-llvmcpu-target-cpu=host"],
            )
        self._function = iree.runtime.load_vm_flatbuffer(binary, driver="local-task")[function]
        version = importlib.metadata.version("iree-base-runtime")
        self.info = self._describe_file(source, version=version)

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Call the compiled function; see `Runtime.compute`."""
        values = self._function(*(feeds[spec.name] for spec in self.info.inputs))
        # One output comes as itself, several as a sequence.
        values = values if isinstance(values, (tuple, list)) else (values,)
        return {spec.name: np.asarray(value) for spec, value in zip(self.info.outputs, values, strict=True)}


def _import_model(model: bytes) -> tuple[str, str]:
    """Return the MLIR text and the name of its function."""
    from iree.compiler.ir import Context

    inferred = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(model))
    info = onnx_importer.ModelInfo(inferred)
    module = info.create_module(context=Context()).operation
    onnx_importer.NodeImporter.define_function(info.main_graph, module).import_all()
    return str(module.get_asm()), inferred.graph.name
