"""What single operators need of the numbers that they read, by the standard's text of each."""

from __future__ import annotations

__all__ = ["need_of"]

import numpy as np
from onnx import NodeProto, TensorProto

from toolkit.runtimes.synthetic_inputs.facts import Need
from toolkit.runtimes.synthetic_inputs.trace import Graph, Reading, attribute

# One number that holds in every place of an input which is a setting rather than data, by operator and position.
SETTINGS: dict[tuple[str, int], float] = {
    ("Clip", 1): -1.0,
    ("Clip", 2): 1.0,
    ("ConstantOfShape", 0): 2,
    ("CumSum", 1): 0,
    ("Dropout", 1): 0.5,
    ("Dropout", 2): 0,
    ("Expand", 1): 1,
    ("Loop", 0): 3,
    ("NonMaxSuppression", 2): 10,
    ("NonMaxSuppression", 3): 0.5,
    ("NonMaxSuppression", 4): 0.1,
    ("OneHot", 1): 8,
    ("Pad", 1): 0,
    ("Range", 0): 0,
    ("Range", 1): 4,
    ("Range", 2): 1,
    ("Resize", 2): 1.0,
    ("Slice", 1): 0,
    ("Slice", 2): 1,
    ("Slice", 4): 1,
    ("Tile", 1): 1,
    ("TopK", 1): 1,
    ("Trilu", 1): 0,
    ("Upsample", 1): 1.0,
}
# Least and largest number that an operator has an answer for, or that it is meant for.
RANGES: dict[tuple[str, int], tuple[float, float]] = {
    ("Acos", 0): (-1.0, 1.0),
    ("Acosh", 0): (1.0, 10.0),
    ("Asin", 0): (-1.0, 1.0),
    ("Atanh", 0): (-0.99, 0.99),
    ("BatchNormalization", 4): (0.5, 2.0),
    ("DequantizeLinear", 1): (0.01, 0.1),
    ("Log", 0): (0.001, 1.0),
    ("QuantizeLinear", 1): (0.01, 0.1),
    ("Reciprocal", 0): (0.1, 2.0),
    ("Sqrt", 0): (0.0, 2.0),
}
MASKS = frozenset(
    {("Where", 0), ("Compress", 1), ("And", 0), ("And", 1), ("Or", 0), ("Or", 1), ("EmbedLayerNormalization", 7)}
    | {("Attention", 3), ("Attention", 4), ("MultiHeadAttention", 3), ("MultiHeadAttention", 4)}
)
LENGTHS = frozenset({("LSTM", 4), ("GRU", 4), ("RNN", 4), ("ReverseSequence", 1)})
COMPARED = frozenset({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
# A shift or a divisor of this size says that the numbers are those of an image file, 0 to 255.
IMAGE_SHIFT, IMAGE_DIVISOR = 20.0, 100.0
IMAGE_MAX = 255.0
TREES = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
KEYS = ("keys_int64s", "keys_floats", "cats_int64s")
STRING_KEYS = ("keys_strings", "cats_strings", "string_vocabulary", "pool_strings")


def need_of(graph: Graph, reading: Reading) -> Need | None:
    """Return what an operator needs of the numbers that it reads; None where it takes any."""
    node, place = reading.node, (reading.node.op_type, reading.position)
    if place in SETTINGS:
        return Need("fill", choices=(SETTINGS[place],))
    if place in RANGES:
        return Need("range", *RANGES[place])
    if place in LENGTHS:
        return Need("length")
    for rule in (_rows, _compared, _mask, _quantised, _image, _clipped, _learned):
        need = rule(graph, node, position=reading.position)
        if need is not None:
            return need if need.role != "index" else need._replace(high=need.high - reading.shift)
    return None


def _rows(graph: Graph, node: NodeProto, *, position: int) -> Need | None:
    """Return the last row of a table that is looked up."""
    kind, table, axis = node.op_type, "", 0
    if kind in {"Gather", "GatherElements", "GatherND", "Scatter", "ScatterElements", "ScatterND"} and position == 1:
        table, axis = node.input[0], int(attribute(node, "axis", otherwise=0))
    elif kind == "EmbedLayerNormalization" and position in {0, 1}:
        table = node.input[2 if position == 0 else 4]
    elif kind == "OneHot" and position == 0:
        depth = graph.constant(node.input[1])
        return None if depth is None or not depth.size else Need("index", high=float(depth.reshape(-1)[0]) - 1)
    if not table:
        return None
    shape = graph.shape(table)
    if not shape or not -len(shape) <= axis < len(shape):
        return Need("index", high=1.0)  # a table that is computed: its first rows are there nearly always
    rows = shape[axis] if not kind.endswith("ND") else min(shape)
    return Need("index", high=float(max(rows - 1, 0)))


def _compared(graph: Graph, node: NodeProto, *, position: int) -> Need | None:
    if node.op_type == "If" and position == 0:
        return Need("pick", choices=(1.0, 0.0))
    if node.op_type not in COMPARED or len(node.input) != 2:
        return None
    other = graph.constant(node.input[1 - position])
    if other is None or not other.size or other.dtype.kind not in "iufb":
        return None
    if other.size == 1:
        return Need("pick", choices=(float(other.reshape(-1)[0]),))
    # Held against 0, 1, 2 and so on it is one of them: the way some exporters write OneHot.
    counts = np.array_equal(other.reshape(-1), np.arange(other.size))
    return Need("index", high=float(other.size - 1)) if counts and node.op_type == "Equal" else None


def _mask(graph: Graph, node: NodeProto, *, position: int) -> Need | None:
    is_mask = (node.op_type, position) in MASKS
    to_bool = node.op_type == "Cast" and attribute(node, "to", otherwise=0) == TensorProto.BOOL
    return Need("mask") if is_mask or to_bool or _is_one_less(graph, node, position=position) else None


def _is_one_less(graph: Graph, node: NodeProto, *, position: int) -> bool:
    """Tell whether an input is taken from one, as a mask is before it is made a large negative number."""
    one = graph.constant(node.input[0]) if node.op_type == "Sub" and position == 1 else None
    return one is not None and one.size == 1 and float(one.reshape(-1)[0]) == 1.0


def _quantised(graph: Graph, node: NodeProto, *, position: int) -> Need | None:
    if node.op_type != "QuantizeLinear" or position != 0:
        return None
    scale = graph.constant(node.input[1])
    zero = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros((), np.uint8)
    if scale is None or zero is None or not scale.size or zero.dtype.kind not in "iu":
        return None
    limits, step, middle = np.iinfo(zero.dtype), float(scale.reshape(-1)[0]), float(zero.reshape(-1)[0])
    return Need("range", (limits.min - middle) * step, (limits.max - middle) * step)


def _image(graph: Graph, node: NodeProto, *, position: int) -> Need | None:
    """Return the range of an image where means or 255 are taken away from the numbers, or divide them."""
    if node.op_type not in {"Sub", "Div", "Mul", "Add"} or position != 0 or len(node.input) != 2:
        return None
    other = graph.constant(node.input[1])
    if other is None or not other.size or other.size > 4 or other.dtype.kind != "f":
        return None
    numbers = np.abs(other.astype(np.float64))
    is_shift = node.op_type in {"Sub", "Add"} and IMAGE_SHIFT < numbers.min() <= numbers.max() <= IMAGE_MAX
    is_divisor = node.op_type == "Div" and IMAGE_DIVISOR < numbers.min() <= numbers.max() <= IMAGE_MAX + 1
    is_factor = (
        node.op_type == "Mul" and numbers.size == 1 and bool(np.isclose(numbers * IMAGE_MAX, 1, rtol=0.02).all())
    )
    return Need("range", 0.0, IMAGE_MAX) if is_shift or is_divisor or is_factor else None


def _clipped(graph: Graph, node: NodeProto, *, position: int) -> Need | None:
    if node.op_type != "Clip" or position != 0:
        return None
    limits = [attribute(node, "min", otherwise=None), attribute(node, "max", otherwise=None)]
    for place, name in enumerate(node.input[1:3]):
        array = graph.constant(name) if name else None
        limits[place] = float(array.reshape(-1)[0]) if array is not None and array.size else limits[place]
    low, high = limits
    if low is None or high is None or not low < high or not np.isfinite([low, high]).all():
        return None
    # A little beyond both ends, so that they are met.
    return Need("range", low - (high - low) / 8, high + (high - low) / 8) if high - low < IMAGE_MAX * 2 else None


def _learned(_: Graph, node: NodeProto, *, position: int) -> Need | None:
    """Return what classic models were made for: thresholds of trees, keys of encoders."""
    if position != 0:
        return None
    if node.op_type in TREES:
        thresholds = attribute(node, "nodes_values", otherwise=())
        if not thresholds or not np.isfinite(thresholds).all():
            return None
        edge = (max(thresholds) - min(thresholds)) / 8 or 1.0
        return Need("range", min(thresholds) - edge, max(thresholds) + edge)
    words = next((found for name in STRING_KEYS if (found := attribute(node, name, otherwise=()))), ())
    if words:
        return Need("word", words=tuple(word.decode() for word in words))
    keys = next((found for name in KEYS if (found := attribute(node, name, otherwise=()))), ())
    return Need("pick", choices=tuple(float(key) for key in keys)) if keys else None
