"""Faults in strangers' files: what an engine that misreads one operator would compute."""

from __future__ import annotations

__all__ = ["STRANGER_FAULTS", "StrangerFault"]

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import helper

from mutations.graph import Array, Fault, Graph


class StrangerFault(NamedTuple):
    """One fault.

    Attributes:
        stranger: which file, by its name in the tests.
        what: what goes wrong.
        change: puts it into the graph.
    """

    stranger: str
    what: str
    change: Fault


def _attribute(kind: str, name: str, value: object, number: int = 0) -> Fault:
    return lambda graph: graph.set_attribute(graph.node(kind, number), name, value)


def _without(kind: str, name: str) -> Fault:
    def change(graph: Graph) -> None:
        node = graph.node(kind)
        node.attribute.remove(next(item for item in node.attribute if item.name == name))

    return change


def _weights(ending: str, function: Callable[[Array], Any]) -> Fault:
    return lambda graph: graph.edit(ending, lambda array: np.asarray(function(array)))


def _kind(old: str, new: str, number: int = 0) -> Fault:
    def change(graph: Graph) -> None:
        graph.node(old, number).op_type = new

    return change


def _gone(kind: str) -> Fault:
    return lambda graph: graph.bypass(graph.node(kind))


def _scaled(index: int, factor: float) -> Callable[[Array], Array]:
    def function(array: Array) -> Array:
        array.flat[index] *= factor
        return array

    return function


def _zeroed(axis: int, start: int, stop: int) -> Callable[[Array], Array]:
    def function(array: Array) -> Array:
        array[(slice(None),) * axis + (slice(start, stop),)] = 0
        return array

    return function


def _gates(*order: int) -> Callable[[Array], Array]:
    def function(array: Array) -> Array:
        blocks = np.split(array, len(order), axis=1)
        return np.concatenate([blocks[index] for index in order], axis=1)

    return function


def _swap_branches(graph: Graph) -> None:
    node = graph.node("If")
    one, other = node.attribute
    one.name, other.name = other.name, one.name


def _change_body(kind: str, old: str, new: str) -> Fault:
    def change(graph: Graph) -> None:
        body = next(item.g for item in graph.node(kind).attribute if item.HasField("g"))
        next(node for node in body.node if node.op_type == old).op_type = new

    return change


def _without_zero_point(graph: Graph) -> None:
    node = graph.node("MatMulInteger")
    node.input[2] = graph.constant(np.uint8(0))


def _in_bfloat16(array: Array) -> Array:
    bits = array.astype(np.float32).view(np.uint32)
    return np.asarray((bits & 0xFFFF0000).view(np.float32))


def _nearer(graph: Graph) -> None:
    node = graph.node("Conv")
    graph.set_attribute(node, "dilations", [3])
    graph.set_attribute(node, "pads", [3, 3])


def _tuple_attribute(kind: str, name: str, index: int, factor: float) -> Fault:
    def change(graph: Graph) -> None:
        node = graph.node(kind)
        values = list(next(helper.get_attribute_value(item) for item in node.attribute if item.name == name))
        values[index] *= factor
        graph.set_attribute(node, name, values)

    return change


STRANGER_FAULTS: tuple[StrangerFault, ...] = tuple(
    StrangerFault(stranger, what, change)
    for stranger, faults in {
        "vgg of opset 7": (
            ("the variances are 1 % too large", _weights("v", lambda array: array * 1.01)),
            ("another epsilon", _attribute("BatchNormalization", "epsilon", 1e-3)),
            ("the mean counts the padding", _attribute("AveragePool", "count_include_pad", 1)),
            ("the bias of the last layer is left out", _attribute("Gemm", "beta", 0.0)),
            ("one weight is 2 % too large", _weights("w2", _scaled(5, 1.02))),
        ),
        "googlenet of opset 8": (
            ("the window over channels is 3 wide", _attribute("LRN", "size", 3)),
            ("alpha is not divided by the window", _attribute("LRN", "alpha", 5e-4)),
            ("the exponent is 1/2", _attribute("LRN", "beta", 0.5)),
        ),
        "resnet of opset 9": (
            ("the means are left out", _weights("m", np.zeros_like)),
            ("the shortcut is left out", _gone("Add")),
            ("the slope is 0.01", _attribute("LeakyRelu", "alpha", 0.01)),
        ),
        "mobilenet": (
            ("the clip is at 3", _weights("six", lambda _: 3.0)),
            ("the groups' kernels are shifted by one", _weights("w1", lambda array: np.roll(array, 1, axis=0))),
            ("the slope is a fifth", _attribute("HardSigmoid", "alpha", 0.2)),
            ("padding goes to one side", _attribute("Conv", "pads", [0, 0, 2, 2])),
        ),
        "unet": (
            ("another epsilon", _attribute("InstanceNormalization", "epsilon", 1e-3)),
            ("one slope for all channels", _weights("slope", lambda array: np.full_like(array, array.mean()))),
            ("corners are aligned", _attribute("Resize", "coordinate_transformation_mode", "align_corners")),
            ("the kernel is not turned", _weights("w2", lambda array: array[..., ::-1, ::-1])),
        ),
        "dilated wave": (
            ("the kernel is not dilated as far", _nearer),
            ("the kernel is reversed", _weights("w1", lambda array: array[..., ::-1])),
        ),
        "lstm": (
            ("gates in another order", _weights("w", _gates(0, 2, 3, 1))),
            ("the sequence is read backwards", _attribute("LSTM", "direction", "reverse")),
            ("recurrent weights are 1 % too small", _weights("r", lambda array: array * 0.99)),
            ("cells are clipped", _attribute("LSTM", "clip", 0.5)),
            ("the recurrent bias is left out", _weights("b", _zeroed(1, 20, 40))),
        ),
        "gru both ways": (
            ("the reset gate is applied before the product", _attribute("GRU", "linear_before_reset", 0)),
            ("both directions change places", _weights("r", lambda array: array[::-1])),
            ("update and reset change places", _weights("w", _gates(1, 0, 2))),
        ),
        "rnn with relu": (
            ("Tanh, the default", _attribute("RNN", "activations", ["Tanh"])),
            ("the clip is ignored", _without("RNN", "clip")),
        ),
        "transformer": (
            ("scores are not scaled", _weights("root", lambda _: 1.0)),
            ("the softmax is over the queries", _attribute("Softmax", "axis", -2)),
            ("another epsilon", _attribute("LayerNormalization", "epsilon", 1e-3)),
            ("Tanh for Erf", _kind("Erf", "Tanh")),
            ("the residual is left out", _gone("Add")),
            ("one weight is 2 % too large", _weights("wo", _scaled(7, 1.02))),
        ),
        "einsum and reductions": (
            ("sums leave out their own number", _attribute("CumSum", "exclusive", 1)),
            ("L1 for L2", _kind("ReduceL2", "ReduceL1")),
        ),
        "best and where": (
            ("the smallest are taken", _attribute("TopK", "largest", 0)),
            ("the table is shifted by one row", _weights("table", lambda array: np.roll(array, 1, axis=0))),
        ),
        "scan": (
            ("the sequence is read backwards", _attribute("Scan", "scan_input_directions", [1])),
            ("the body has another activation", _change_body("Scan", "Tanh", "Sigmoid")),
        ),
        "quantised convolution": (
            ("the input's zero point is off by one", _weights("xz", lambda array: array + 1)),
            ("one scale for all channels", _weights("ws", lambda array: np.full_like(array, array.mean()))),
            ("padding is zero instead of the zero point", _weights("xz", np.zeros_like)),
            ("one channel of weights is lost", _weights("w", _zeroed(0, 1, 2))),
        ),
        "dynamically quantised": (
            ("the zero point is ignored", _without_zero_point),
            ("the weights' scale is 2 % too large", _weights("ws", lambda array: array * 1.02)),
        ),
        "half convolution": (
            ("weights in bfloat16", _weights("w", _in_bfloat16)),
            ("no activation", _gone("Relu")),
        ),
        "scaler and regressor": (
            ("L1 for L2", _attribute("Normalizer", "norm", "L1")),
            ("one coefficient is 2 % too large", _tuple_attribute("LinearRegressor", "coefficients", 2, 1.02)),
        ),
        "trees": (("trees are averaged", _attribute("TreeEnsembleRegressor", "aggregate_function", "AVERAGE")),),
        "space and depth": (
            ("depth before column", _attribute("DepthToSpace", "mode", "DCR")),
            ("the edge for the reflection", _attribute("Pad", "mode", "edge")),
            ("corners are not aligned", _attribute("GridSample", "align_corners", 0)),
        ),
        "loop": (("the loop ends a turn early", _weights("times", lambda array: array - 1)),),
        "branches": (("the branches change places", _swap_branches),),
        "token ids": (("the softmax is over the queries", _attribute("Softmax", "axis", -2)),),
    }.items()
    for what, change in faults
)
