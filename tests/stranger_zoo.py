"""More files of other people's making, of the kinds that are met: old opsets, recurrent, quantised, attention, halves."""

from __future__ import annotations

__all__ = ["ZOO"]

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, HALF = TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT16
N = "n"
Node = onnx.NodeProto
ZOO: dict[str, Callable[[], onnx.ModelProto]] = {}
node = helper.make_node


def _kind(build: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
    ZOO[build.__name__.strip("_").replace("_", " ")] = build
    return build


def _weights(**shapes: Sequence[int]) -> dict[str, Any]:
    """Return normal weights of a deviation that keeps the size of what they are multiplied with."""
    generator = np.random.default_rng(sum(map(ord, "".join(shapes))))
    return {
        name: (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)
        for name, shape in shapes.items()
    }


def _file(
    nodes: list[Node],
    x: Sequence[int | str],
    *,
    outputs: dict[str, int] | None = None,
    weights: dict[str, Any] | None = None,
    opset: int = 17,
    kind: int = FLOAT,
    domain: str = "",
) -> onnx.ModelProto:
    """Return a file of one input `x` whose outputs' shapes are left to the engines."""
    made = outputs or {"y": kind}
    graph = helper.make_graph(
        nodes,
        "stranger",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info(name, item, None) for name, item in made.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 3)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _variance(channels: int) -> Any:
    return np.linspace(0.5, 2, channels).astype(np.float32)


@_kind
def _vgg_of_opset_7() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "s", "b", "m", "v"], ["n1"]),
        node("Relu", ["n1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2"], ["c2"]),
        node("AveragePool", ["c2"], ["p2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Flatten", ["p2"], ["f"]),
        node("Gemm", ["f", "w3", "b3"], ["g"], transB=1),
        node("Softmax", ["g"], ["y"]),
    ]
    weights = _weights(w1=(6, 3, 3, 3), b1=(6,), s=(6,), b=(6,), m=(6,), w2=(8, 6, 3, 3), w3=(5, 128), b3=(5,))
    return _file(nodes, [N, 3, 12, 12], weights={**weights, "v": _variance(6)}, opset=7)


@_kind
def _googlenet_of_opset_8() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], strides=[2, 2]),
        node("LRN", ["c1"], ["l"], alpha=1e-4, beta=0.75, bias=1.0, size=5),
        node("Conv", ["l", "w2"], ["left"]),
        node("MaxPool", ["l"], ["m"], kernel_shape=[3, 3], strides=[1, 1], auto_pad="SAME_UPPER"),
        node("Conv", ["m", "w3"], ["right"]),
        node("Concat", ["left", "right"], ["both"], axis=1),
        node("GlobalAveragePool", ["both"], ["y"]),
    ]
    weights = _weights(w1=(16, 3, 3, 3), w2=(4, 16, 1, 1), w3=(4, 16, 1, 1))
    return _file(nodes, [N, 3, 15, 15], weights=weights, opset=8)


@_kind
def _resnet_of_opset_9() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "s", "b", "m", "v"], ["n1"], epsilon=1e-3),
        node("Add", ["n1", "x"], ["sum"]),
        node("LeakyRelu", ["sum"], ["r"], alpha=0.1),
        node("ReduceMean", ["r"], ["p"], axes=[2, 3], keepdims=0),
        node("LogSoftmax", ["p"], ["y"]),
    ]
    weights = _weights(w1=(6, 6, 3, 3), s=(6,), b=(6,), m=(6,))
    return _file(nodes, [N, 6, 8, 8], weights={**weights, "v": _variance(6)}, opset=9)


@_kind
def _mobilenet() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], group=4, pads=[1, 1, 1, 1]),
        node("Clip", ["c1", "zero", "six"], ["r6"]),
        node("Conv", ["r6", "w2"], ["c2"]),
        node("HardSigmoid", ["c2"], ["h"], alpha=1 / 6, beta=0.5),
        node("Mul", ["c2", "h"], ["y"]),
    ]
    weights = _weights(w1=(4, 1, 3, 3), w2=(8, 4, 1, 1))
    return _file(nodes, [N, 4, 9, 9], weights={**weights, "zero": np.float32(0), "six": np.float32(6)})


@_kind
def _unet() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        node("InstanceNormalization", ["c1", "s", "b"], ["n1"]),
        node("PRelu", ["n1", "slope"], ["r1"]),
        node("ConvTranspose", ["r1", "w2"], ["up"], strides=[2, 2]),
        node("Resize", ["x", "", "scales"], ["skip"], mode="linear"),
        node("Concat", ["up", "skip"], ["y"], axis=1),
    ]
    weights = _weights(w1=(4, 2, 3, 3), s=(4,), b=(4,), slope=(4, 1, 1), w2=(4, 3, 2, 2))
    return _file(nodes, [N, 2, 8, 8], weights={**weights, "scales": np.array([1, 1, 2, 2], np.float32)})


@_kind
def _dilated_wave() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w1"], ["t"], dilations=[4], pads=[4, 4]),
        node("Conv", ["x", "w2"], ["g"], dilations=[4], pads=[4, 4]),
        node("Tanh", ["t"], ["th"]),
        node("Sigmoid", ["g"], ["sg"]),
        node("Mul", ["th", "sg"], ["y"]),
    ]
    return _file(nodes, [N, 4, 32], weights=_weights(w1=(6, 4, 3), w2=(6, 4, 3)))


def _recurrent(operator: str, gates: int, *, directions: int = 1, **attributes: Any) -> onnx.ModelProto:
    ways = {2: "bidirectional", 1: "forward"}[directions]
    inputs = ["t", "w", "r", "b"]
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node(operator, inputs, ["all", "y"], hidden_size=5, direction=ways, **attributes),
        node("Transpose", ["all"], ["states"], perm=[2, 0, 1, 3]),
    ]
    size = gates * 5
    weights = _weights(w=(directions, size, 3), r=(directions, size, 5), b=(directions, 2 * size))
    return _file(nodes, [N, 7, 3], outputs={"states": FLOAT, "y": FLOAT}, weights=weights, opset=11)


@_kind
def _lstm() -> onnx.ModelProto:
    return _recurrent("LSTM", 4)


@_kind
def _gru_both_ways() -> onnx.ModelProto:
    return _recurrent("GRU", 3, directions=2, linear_before_reset=1)


@_kind
def _rnn_with_relu() -> onnx.ModelProto:
    return _recurrent("RNN", 1, activations=["Relu"], clip=3.0)


@_kind
def _transformer() -> onnx.ModelProto:
    def projected(name: str) -> list[Node]:
        return [
            node("MatMul", ["x", f"w{name}"], [f"{name}0"]),
            node("Reshape", [f"{name}0", "split"], [f"{name}1"]),
            node("Transpose", [f"{name}1"], [name], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]),
        ]

    nodes = [
        *projected("q"),
        *projected("k"),
        *projected("v"),
        node("MatMul", ["q", "k"], ["raw"]),
        node("Div", ["raw", "root"], ["scores"]),
        node("Softmax", ["scores"], ["attention"], axis=-1),
        node("MatMul", ["attention", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "join"], ["joined"]),
        node("Add", ["joined", "x"], ["sum"]),
        node("LayerNormalization", ["sum", "gain", "shift"], ["normed"], axis=-1),
        node("Div", ["normed", "two"], ["half"]),
        node("Erf", ["half"], ["erf"]),
        node("Add", ["erf", "one"], ["more"]),
        node("Mul", ["normed", "more"], ["gelu"]),
        node("MatMul", ["gelu", "wo"], ["y"]),
    ]
    weights = _weights(wq=(8, 8), wk=(8, 8), wv=(8, 8), wo=(8, 6), gain=(8,), shift=(8,))
    numbers = {"root": 2.0, "two": np.sqrt(2), "one": 1.0}
    shapes = {"split": np.array([0, 0, 2, 4]), "join": np.array([0, 0, 8])}
    scalars = {name: np.float32(value) for name, value in numbers.items()}
    return _file(nodes, [N, 5, 8], weights={**weights, **scalars, **shapes})


@_kind
def _einsum_and_reductions() -> onnx.ModelProto:
    nodes = [
        node("Einsum", ["x", "w"], ["e"], equation="nij,jk->nik"),
        node("ReduceLogSumExp", ["e"], ["y"], axes=[2], keepdims=0),
        node("ReduceL2", ["e"], ["length"], axes=[1], keepdims=0),
        node("CumSum", ["e", "axis"], ["running"]),
    ]
    made = {"y": FLOAT, "length": FLOAT, "running": FLOAT}
    return _file(nodes, [N, 4, 6], outputs=made, weights={**_weights(w=(6, 5)), "axis": np.int64(1)})


@_kind
def _best_and_where() -> onnx.ModelProto:
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        node("TopK", ["m", "three"], ["values", "places"], axis=-1),
        node("Gather", ["table", "places"], ["y"]),
    ]
    made = {"values": FLOAT, "places": INT64, "y": FLOAT}
    weights = {**_weights(w=(6, 9), table=(9, 4)), "three": np.array([3])}
    return _file(nodes, [N, 6], outputs=made, weights=weights)


@_kind
def _scan() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            node("Add", ["state", "item"], ["sum"]),
            node("Tanh", ["sum"], ["next"]),
            node("Identity", ["next"], ["kept"]),
        ],
        "body",
        [helper.make_tensor_value_info(name, FLOAT, [4]) for name in ("state", "item")],
        [helper.make_tensor_value_info(name, FLOAT, [4]) for name in ("next", "kept")],
    )
    nodes = [
        node("Scan", ["start", "x"], ["y", "all"], body=body, num_scan_inputs=1),
    ]
    return _file(nodes, [6, 4], outputs={"y": FLOAT, "all": FLOAT}, weights=_weights(start=(4,)))


@_kind
def _quantised_convolution() -> onnx.ModelProto:
    generator = np.random.default_rng(9)
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        node("QLinearConv", ["xq", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["yq"], pads=[1, 1, 1, 1]),
        node("DequantizeLinear", ["yq", "ys", "yz"], ["y"]),
    ]
    weights = {
        "w": generator.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "ws": np.linspace(0.002, 0.004, 4).astype(np.float32),
        "wz": np.zeros(4, np.int8),
        "xs": np.float32(0.03),
        "xz": np.uint8(120),
        "ys": np.float32(0.06),
        "yz": np.uint8(128),
    }
    return _file(nodes, [N, 3, 8, 8], weights=weights, opset=13)


@_kind
def _dynamically_quantised() -> onnx.ModelProto:
    generator = np.random.default_rng(10)
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z", "wz"], ["whole"]),
        node("Cast", ["whole"], ["cast"], to=FLOAT),
        node("Mul", ["s", "ws"], ["scale"]),
        node("Mul", ["cast", "scale"], ["y"]),
    ]
    weights = {
        "w": generator.integers(-127, 128, (12, 6)).astype(np.int8),
        "wz": np.int8(0),
        "ws": np.float32(0.01),
    }
    return _file(nodes, [N, 12], weights=weights)


@_kind
def _half_convolution() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["y"]),
    ]
    weights = {name: array.astype(np.float16) for name, array in _weights(w=(6, 3, 3, 3)).items()}
    return _file(nodes, [N, 3, 8, 8], weights=weights, kind=HALF)


@_kind
def _scaler_and_regressor() -> onnx.ModelProto:
    ml = "ai.onnx.ml"
    nodes = [
        node("Scaler", ["x"], ["s"], domain=ml, offset=[0.5, -0.25, 0.0], scale=[2.0, 1.0, 0.5]),
        node("Normalizer", ["s"], ["u"], domain=ml, norm="L2"),
        node(
            "LinearRegressor",
            ["u"],
            ["y"],
            domain=ml,
            coefficients=[0.5, -1.5, 2.0, 1.0, 2.0, 3.0],
            intercepts=[0.1, 0.2],
            targets=2,
        ),
    ]
    return _file(nodes, [N, 3], domain=ml)


@_kind
def _trees() -> onnx.ModelProto:
    tree: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 0, 1, 2],
        "nodes_featureids": [0, 0, 0, 2, 0, 0],
        "nodes_values": [0.1, 0.0, 0.0, -0.2, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0, 2, 0, 0],
        "target_treeids": [0, 0, 1, 1],
        "target_nodeids": [1, 2, 1, 2],
        "target_ids": [0, 0, 0, 0],
        "target_weights": [1.5, -0.5, 0.25, 3.0],
        "n_targets": 1,
    }
    return _file(
        [node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **tree)], [N, 3], domain="ai.onnx.ml"
    )


@_kind
def _space_and_depth() -> onnx.ModelProto:
    nodes = [
        node("DepthToSpace", ["x"], ["d"], blocksize=2, mode="CRD"),
        node("Pad", ["d", "edges"], ["p"], mode="reflect"),
        node("GridSample", ["p", "grid"], ["y"], align_corners=1),
        node("Softplus", ["p"], ["z"]),
    ]
    grid = np.random.default_rng(11).uniform(-1, 1, (2, 4, 4, 2)).astype(np.float32)
    edges = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    return _file(nodes, [2, 8, 4, 4], outputs={"y": FLOAT, "z": FLOAT}, weights={"edges": edges, "grid": grid})
