"""A float32 graph made int8: static quantisation with QuantizeLinear and DequantizeLinear, per channel."""

from __future__ import annotations

__all__ = ["CALIBRATIONS", "Int8Setting", "convert_to_int8"]

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters.relu_first import move_relu_first
from exporters.spec import ExportError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

CALIBRATIONS = ("minmax", "entropy", "percentile")
HEAVY = {"Conv", "Gemm", "MatMul"}
DEFAULT_DOMAINS = {"", "ai.onnx"}
LARGEST_PIECE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Setting:
    """One way to quantise. Weights are always int8, symmetric, one scale for each output channel.

    Attributes:
        calibration: what a tensor's range is: `minmax` (all that was seen), `entropy` (least information lost) or
            `percentile`.
        percentile: share of the values, in %, that `percentile` keeps inside.
        activations: `uint8` or `int8`, with a zero point.
        reduce_range: weights of 7 bits, for processors whose 16-bit sums would saturate.
        first_in_float: leave the first convolution or matrix product in float32.
        last_in_float: leave the last one, which makes the logits, in float32.
        quantise_bias: biases as int32 of the products' scale; else float32.
    """

    calibration: str = "minmax"
    percentile: float = 99.999
    activations: str = "uint8"
    reduce_range: bool = False
    first_in_float: bool = False
    last_in_float: bool = True
    quantise_bias: bool = True

    def __post_init__(self) -> None:
        if self.calibration not in CALIBRATIONS or self.activations not in {"uint8", "int8"}:
            raise ExportError(f"{self} names an unknown calibration or element type")


def convert_to_int8(model: onnx.ModelProto, images: NDArray[np.uint8], setting: Int8Setting) -> onnx.ModelProto:
    """Return an int8 copy of a graph, calibrated on images.

    What stands before the first product (standardisation) and after the last (softmax, argmax) stays in float32, so
    that the outputs keep their types and `label` is the argmax of the very logits that leave. Loads onnxruntime: see
    `quantise_apart` for a process of its own.

    Args:
        model: one image input, float32 inside; left unchanged.
        images: uint8 `[N, ...]`, typical ones.
        setting: how.

    Raises:
        ExportError: an operator of another domain than ONNX's own would stay in the graph.
    """
    import onnx
    from onnxruntime import quantization as ort

    prepared = move_relu_first(model)
    methods = ort.CalibrationMethod
    methods = {"minmax": methods.MinMax, "entropy": methods.Entropy, "percentile": methods.Percentile}
    kinds = {"uint8": ort.QuantType.QUInt8, "int8": ort.QuantType.QInt8}
    extra: dict[str, Any] = {"QuantizeBias": setting.quantise_bias}
    if setting.calibration == "percentile":
        extra["CalibPercentile"] = setting.percentile
    with tempfile.TemporaryDirectory(prefix="to-int8-") as folder:
        path = Path(folder) / "int8.onnx"
        ort.quantize_static(
            prepared,
            path,
            _Reader(images, name=prepared.graph.input[0].name),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=setting.reduce_range,
            activation_type=kinds[setting.activations],
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=_nodes_in_float(prepared, setting),
            calibrate_method=methods[setting.calibration],
            extra_options=extra,
        )
        return _strip(onnx.load(path))


class _Reader:
    """Hands calibration images over in batches; of one size, because histograms stack them."""

    def __init__(self, images: NDArray[np.uint8], *, name: str) -> None:
        self._name = name
        self._pieces = _cut(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch as feeds, None after the last."""
        piece = next(self._pieces, None)
        return None if piece is None else {self._name: piece}


def _cut(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    size = max(size for size in range(1, LARGEST_PIECE + 1) if len(images) % size == 0)
    return (images[start : start + size] for start in range(0, len(images), size))


def _nodes_in_float(model: onnx.ModelProto, setting: Int8Setting) -> list[str]:
    nodes = list(model.graph.node)
    heavy = [index for index, node in enumerate(nodes) if node.op_type in HEAVY]
    if not heavy:
        raise ExportError("the graph has no convolution and no matrix product: there is nothing to quantise")
    first, last = heavy[0], heavy[-1]
    kept = [*nodes[: first + setting.first_in_float], *nodes[last + (not setting.last_in_float) :]]
    if any(not node.name for node in kept):
        raise ExportError("a node has no name, by which the quantiser would leave it in float32")
    return [node.name for node in kept]


def _strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the imports of domains that no node uses; the quantiser adds its own whether it needs them or not."""
    foreign = sorted({node.domain for node in model.graph.node} - DEFAULT_DOMAINS)
    if foreign:
        raise ExportError(f"the quantiser left operators of {', '.join(foreign)}; only ONNX's own may stay")
    own = [entry for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    del model.opset_import[:], model.graph.value_info[:]
    model.opset_import.extend(own)
    return model
