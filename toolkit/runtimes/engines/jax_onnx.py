"""JAX: the file's operators as JAX functions (jaxonnxruntime), compiled by XLA."""

from __future__ import annotations

__all__ = ["JaxRuntime"]

from typing import Any, ClassVar

import jax
import numpy as np
import onnx
from jaxonnxruntime import call_onnx
from numpy.typing import NDArray

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing

# It traces the file once with example inputs: a size that is not fixed gets this, and every other size is compiled when
# it first comes. 0 and 1 could be taken for broadcasting.
TRACED_SIZE = 2


class JaxRuntime(Runtime):
    """A file as one jitted function on the CPU."""

    name: ClassVar[str] = "jax"

    def _open(self, source: ModelSource) -> None:
        jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]  # jax leaves it unannotated
        # Else int64 outputs are cut to int32; float32 stays float32.
        jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # as above
        self.info = self._describe_file(source, version=jax.__version__)
        example = {
            spec.name: np.zeros([size if isinstance(size, int) else TRACED_SIZE for size in spec.shape], spec.dtype)
            for spec in self.info.inputs
        }
        with refusing("jaxonnxruntime", tells_type=True):  # it has no exception of its own
            # It casts only what it knows the type of: an input, a weight, or what the file states for it.
            model = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(source.model))
            function, self._weights = call_onnx.call_onnx_model(model, example)
        self._function = jax.jit(function)

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Call the function, compiling it where a shape is new; see `Runtime.compute`."""
        values = self._function(self._weights, dict(feeds))
        return {spec.name: np.asarray(value) for spec, value in zip(self.info.outputs, values, strict=True)}
