"""A file's own graph in float64, with the rounding error of a lower precision: a reference, not an engine.

It knows the operators of our networks; any other ends with an error that names it.
"""

from __future__ import annotations

__all__ = ["SIGMA_OUTPUT", "OnnxFloat64Runtime", "evaluate_with_rounding"]

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from toolkit.data.dataset import split_images
from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo
from toolkit.runtimes.references.rearranging import (
    concatenate,
    dequantize_linear,
    find_ranges,
    pad,
    quantize_linear,
    reshape,
    slice_axes,
    transpose,
    unsqueeze,
)
from toolkit.runtimes.references.rounding import (
    UNIT_ROUNDOFF,
    Rounded,
    dense,
    dot_product,
    max_pool,
    mean,
    normalise,
    pointwise,
    relu,
    term_noise,
    windows,
)

SIGMA_OUTPUT = "rounding_sigma"
# Window matrices of 64 images of 28x28 need about 30 MB; larger images go in smaller pieces.
CHUNK_PIXELS = 64 * 28 * 28

Attributes = dict[str, Any]
Operator = Callable[[list[Rounded], Attributes, float], Rounded]


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
    chunks = [_evaluate(model, piece, roundoff) for piece in split_images(images, pixels=CHUNK_PIXELS)]
    return np.concatenate([item.value for item in chunks]), np.sqrt(np.concatenate([item.variance for item in chunks]))


def _evaluate(model: onnx.ModelProto, images: NDArray[np.uint8], roundoff: float) -> Rounded:
    values = {tensor.name: _exact(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    values[model.graph.input[0].name] = _exact(images)
    ranges = find_ranges(model.graph)
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
        if node.op_type == "QuantizeLinear":
            if node.input[-1] not in ranges:
                raise ModelError("the rounding formula knows QuantizeLinear with a zero point of uint8 or int8 only")
            attributes["range"] = ranges[node.input[-1]]
        inputs = [values[name] for name in node.input if name]
        values[node.output[0]] = OPERATORS[node.op_type](inputs, attributes, roundoff)
    if "logits" not in values:
        raise ModelError("the graph computes no output called 'logits'")
    return values["logits"]


def _exact(array: NDArray[Any]) -> Rounded:
    value = array.astype(np.float64)
    return Rounded(value, np.zeros_like(value))


def _batch_normalization(inputs: list[Rounded], attributes: Attributes, roundoff: float) -> Rounded:
    if attributes.get("training_mode", 0):
        raise ModelError("the rounding formula knows BatchNormalization with training_mode = 0 only")
    scale, bias, mean, variance = (item.value.reshape(-1, 1, 1) for item in inputs[1:5])
    factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return normalise(inputs[0], factor, mean, bias, roundoff=roundoff)


def _conv(inputs: list[Rounded], attributes: Attributes, roundoff: float) -> Rounded:
    if attributes.get("group", 1) != 1 or _is_dilated(attributes) or _is_self_padding(attributes):
        raise ModelError("the rounding formula knows convolutions without groups, dilation and auto_pad only")
    weight = inputs[1].value
    bias = inputs[2].value if len(inputs) > 2 else None
    matrix = weight.reshape(len(weight), -1).T
    # The noise is settled on the maps, before the windows repeat every value once for each place in the kernel.
    noise = term_noise(inputs[0], length=len(matrix), roundoff=roundoff)
    total = np.tensordot(_slide(inputs[0].value, weight, attributes), matrix, 1)
    carried = np.tensordot(_slide(noise, weight, attributes), matrix**2, 1)
    result = dot_product(total, carried, bias, length=len(matrix), roundoff=roundoff)
    return Rounded(*(part.transpose(0, 3, 1, 2) for part in result))


def _slide(maps: NDArray[np.float64], weight: NDArray[np.float64], attributes: Attributes) -> NDArray[np.float64]:
    """Return a convolution's windows as rows: `[N, H', W', C * kernel rows * kernel columns]`."""
    padded = _pad(maps, attributes.get("pads", [0, 0, 0, 0]))
    height, width = weight.shape[2:]
    view = windows(padded, size=(height, width), stride=tuple(attributes.get("strides", [1, 1])))
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(*view.shape[:1], *view.shape[2:4], weight[0].size)


def _pad(maps: NDArray[np.float64], pads: list[int]) -> NDArray[np.float64]:
    top, left, bottom, right = pads
    return np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right)))


def _max_pool(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    is_padded = any(attributes.get("pads", [])) or _is_self_padding(attributes)
    if is_padded or attributes.get("ceil_mode", 0) or _is_dilated(attributes):
        raise ModelError("the rounding formula knows max-pooling without padding, dilation and ceil_mode only")
    size = tuple(attributes["kernel_shape"])
    return max_pool(inputs[0], size=size, stride=tuple(attributes.get("strides", [1, 1])))


def _is_dilated(attributes: Attributes) -> bool:
    return set(attributes.get("dilations", [1])) != {1}


def _is_self_padding(attributes: Attributes) -> bool:
    return attributes.get("auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}


def _gemm(inputs: list[Rounded], attributes: Attributes, roundoff: float) -> Rounded:
    if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA", 0):
        raise ModelError("the rounding formula knows Gemm with alpha = beta = 1 and transA = 0 only")
    weight = inputs[1].value.T if attributes.get("transB", 0) else inputs[1].value
    return dense(inputs[0], weight, inputs[2].value if len(inputs) > 2 else None, roundoff=roundoff)


def _cast(inputs: list[Rounded], attributes: Attributes, roundoff: float) -> Rounded:
    """Round once towards float16; uint8 to float32, and wider than before, is exact."""
    (item,) = inputs
    narrow = attributes["to"] == onnx.TensorProto.FLOAT16
    return pointwise(item.value, item.variance, roundoff=roundoff) if narrow else item


def _sub(inputs: list[Rounded], _: Attributes, roundoff: float) -> Rounded:
    left, right = inputs
    return pointwise(left.value - right.value, left.variance + right.variance, roundoff=roundoff)


def _div(inputs: list[Rounded], _: Attributes, roundoff: float) -> Rounded:
    left, right = inputs
    return pointwise(left.value / right.value, left.variance / right.value**2, roundoff=roundoff)


def _reduce_mean(inputs: list[Rounded], attributes: Attributes, roundoff: float) -> Rounded:
    axes = attributes.get("axes") or (inputs[1].value.astype(int).tolist() if len(inputs) > 1 else None)
    if axes is None or len(axes) != 1:
        raise ModelError("the rounding formula knows ReduceMean over one axis only")
    return mean(inputs[0], axis=axes[0], keeps_axis=bool(attributes.get("keepdims", 1)), roundoff=roundoff)


OPERATORS: dict[str, Operator] = {
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Concat": concatenate,
    "Conv": _conv,
    "DequantizeLinear": dequantize_linear,
    "Div": _div,
    "Gemm": _gemm,
    "MaxPool": _max_pool,
    "Pad": pad,
    "QuantizeLinear": quantize_linear,
    "ReduceMean": _reduce_mean,
    "Relu": lambda inputs, _, __: relu(inputs[0]),
    "Reshape": reshape,
    "Slice": slice_axes,
    "Sub": _sub,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
