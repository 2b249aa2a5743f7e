"""The smallest real test of a provider: one convolution whose answer is known.

Shapes: N images, H rows, W columns, F filters.
"""

from __future__ import annotations

__all__ = ["INPUT", "OUTPUT", "build_model", "check_answer", "make_images", "make_weights"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT, OUTPUT = "images", "maps"
BATCH, SIZE, FILTERS, KERNEL = 4, 12, 8, 3
OPSET, IR_VERSION = 18, 10
# Pixels and weights are small whole numbers, exact in every format; only sums rounded to bfloat16 may differ.
RELATIVE_TOLERANCE = 0.01


def make_images() -> NDArray[np.uint8]:
    """Return four images `[N, H, W]`, uint8, the same every time."""
    return np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE), dtype=np.uint8)


def make_weights() -> NDArray[np.float32]:
    """Return filters `[F, 1, 3, 3]`, float32, whole numbers from -2 to 2."""
    return np.random.default_rng(1).integers(-2, 3, (FILTERS, 1, KERNEL, KERNEL)).astype(np.float32)


def check_answer(maps_NFHW: NDArray[Any]) -> str | None:
    """Return None where an engine's answer is right, else what is wrong with it.

    Args:
        maps_NFHW: float32 `[N, F, H - 2, W - 2]`, the rectified convolution of `make_images` with `make_weights`.
    """
    windows = np.lib.stride_tricks.sliding_window_view(make_images().astype(np.float64), (KERNEL, KERNEL), (1, 2))
    expected = np.maximum(np.einsum("nhwij,fij->nfhw", windows, make_weights()[:, 0].astype(np.float64)), 0)
    if maps_NFHW.shape != expected.shape:
        return f"the convolution's answer has shape {list(maps_NFHW.shape)}; expected {list(expected.shape)}"
    error = float(np.abs(maps_NFHW - expected).max())
    limit = RELATIVE_TOLERANCE * float(expected.max())
    # The comparison is this way round because NaN is not under any limit.
    return None if error <= limit else f"the convolution's answer is off by {error:g}; the most is {limit:g}"


def build_model() -> bytes:
    """Return an ONNX file: uint8 images `[batch, H, W]` in, a convolution and a ReLU, float32 maps out."""
    from onnx import TensorProto, helper, numpy_helper

    side = SIZE - KERNEL + 1
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["pixels", "axis"], ["grey"]),
            helper.make_node("Conv", ["grey", "weights"], ["sums"]),
            helper.make_node("Relu", ["sums"], [OUTPUT]),
        ],
        "convolution",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", SIZE, SIZE])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", FILTERS, side, side])],
        [numpy_helper.from_array(make_weights(), "weights"), numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
