"""A file's own graph in float64, with the rounding error of a lower precision: a reference, not an engine.

It knows the operators of our networks; any other ends with an error that names it.
"""

from __future__ import annotations

__all__ = ["SIGMA_OUTPUT", "OnnxFloat64Runtime", "evaluate_with_rounding"]

from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from toolkit.data.images import split_images
from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo
from toolkit.runtimes.references.rounded_operators import OPERATORS, UNLIMITED, Node, find_limits
from toolkit.runtimes.references.rounding import UNIT_ROUNDOFF, Rounded

SIGMA_OUTPUT = "rounding_sigma"
# Window matrices of 64 images of 28x28 need about 30 MB; larger images go in smaller pieces.
CHUNK_PIXELS = 64 * 28 * 28


class OnnxFloat64Runtime(Runtime):
    """Runs a file in float64; its output `rounding_sigma` is the logits' expected rounding error in `precision`."""

    name: ClassVar[str] = "onnx-float64"

    def _open(self, source: ModelSource) -> None:
        self._model = onnx.ModelProto.FromString(source.model)
        graph = self._model.graph
        image, logits = graph.input[0], graph.output[0]
        classes = logits.type.tensor_type.shape.dim[1].dim_value
        sizes = [dim.dim_value for dim in image.type.tensor_type.shape.dim][1:]
        # A quantised graph computes in float32 between its steps; what its steps do no roundoff describes.
        self._roundoff = UNIT_ROUNDOFF.get(self.settings.arithmetic, UNIT_ROUNDOFF["fp32"])
        self.info = RuntimeInfo(
            runtime=self.name,
            version=onnx.__version__,
            provider_active="cpu",
            inputs=(TensorSpec(name=image.name, dtype="uint8", shape=("batch", *sizes)),),
            outputs=(
                TensorSpec(name="logits", dtype="float64", shape=("batch", classes)),
                TensorSpec(name=SIGMA_OUTPUT, dtype="float64", shape=("batch", classes)),
                TensorSpec(name="label", dtype="int64", shape=("batch",)),
            ),
        )

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Evaluate the graph in float64 with its rounding; see `Runtime.compute`."""
        logits, sigma = evaluate_with_rounding(self._model, feeds[self.info.inputs[0].name], roundoff=self._roundoff)
        return {"logits": logits, SIGMA_OUTPUT: sigma, "label": logits.argmax(axis=1)}


def evaluate_with_rounding(
    model: onnx.ModelProto, images: NDArray[np.uint8], *, roundoff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits in float64 and the standard deviation that rounding gives each.

    Args:
        model: one image input, an output called `logits`; its initialisers are widened to float64.
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        roundoff: unit roundoff of the precision that is judged.

    Returns:
        Two float64 arrays `[N, classes]`.

    Raises:
        ModelError: an operator that the formula does not know.
    """
    chunks = [_evaluate(model, piece, roundoff=roundoff) for piece in split_images(images, pixels=CHUNK_PIXELS)]
    return np.concatenate([item.value for item in chunks]), np.sqrt(np.concatenate([item.variance for item in chunks]))


def _evaluate(model: onnx.ModelProto, images: NDArray[np.uint8], *, roundoff: float) -> Rounded:
    values = {tensor.name: _exact(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    values[model.graph.input[0].name] = _exact(images)
    limits = find_limits(model.graph)
    for node in model.graph.node:
        if "logits" in values:
            break
        if node.op_type not in OPERATORS:
            known = ", ".join(sorted(OPERATORS))
            raise ModelError(
                f"the rounding formula does not know the operator {node.op_type}, which no export of ours holds: the "
                f"file was altered, or written in training mode; known are {known}"
            )
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "QuantizeLinear" and node.input[-1] not in limits:
            raise ModelError("the rounding formula knows QuantizeLinear with a zero point of uint8 or int8 only")
        inputs = [values[name] for name in node.input if name]
        told = Node(attributes, roundoff, limits.get(node.input[-1], UNLIMITED))
        values[node.output[0]] = OPERATORS[node.op_type](inputs, told)
    if "logits" not in values:
        raise ModelError("the graph computes no output called 'logits'")
    return values["logits"]


def _exact(array: NDArray[Any]) -> Rounded:
    value = array.astype(np.float64)
    return Rounded(value, np.zeros_like(value))
