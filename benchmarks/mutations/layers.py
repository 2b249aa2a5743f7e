"""Faults in what the tutorial's CNN computes between the pixels and the logits."""

from __future__ import annotations

__all__ = ["LAYER_FAULTS"]

import numpy as np

from mutations.graph import Fault, Graph

SEED = 20_261_125
# Rows and columns of the first convolution's maps, and of the first pooling's.
CONV1_SIZE, POOL1_SIZE = 24, 12


def first_relu_removed(graph: Graph) -> None:
    """No ReLU after the first convolution."""
    graph.bypass(graph.node("Relu", 0))


def second_relu_removed(graph: Graph) -> None:
    """No ReLU after the second convolution."""
    graph.bypass(graph.node("Relu", 1))


def hidden_relu_removed(graph: Graph) -> None:
    """No ReLU after the hidden layer."""
    graph.bypass(graph.node("Relu", 2))


def leaky_relu(graph: Graph) -> None:
    """The hidden layer's ReLU lets 1 % of negative values through."""
    node = graph.node("Relu", 2)
    node.op_type = "LeakyRelu"
    graph.set_attribute(node, "alpha", 0.01)


def relu_clipped_at_1(graph: Graph) -> None:
    """The second convolution's ReLU is clipped at 1."""
    limit = graph.constant(np.array(1, np.float32))
    graph.insert_after(graph.node("Relu", 1).output[0], "Min", limit)


def average_for_max_pooling(graph: Graph) -> None:
    """The first pooling takes the mean."""
    node = graph.node("MaxPool", 0)
    size = next(item.ints for item in node.attribute if item.name == "kernel_shape")
    del node.attribute[:]
    node.op_type = "AveragePool"
    graph.set_attribute(node, "kernel_shape", list(size))
    graph.set_attribute(node, "strides", [2, 2])


def pool_window_of_3(graph: Graph) -> None:
    """The first pooling's window is 3, its step still 2."""
    node = graph.node("MaxPool", 0)
    graph.set_attribute(node, "kernel_shape", [3, 3])
    graph.set_attribute(node, "pads", [0, 0, 1, 1])


def pool_shifted(graph: Graph) -> None:
    """The first pooling is padded at the top and left, so its windows lie one pixel off."""
    graph.set_attribute(graph.node("MaxPool", 0), "pads", [1, 1, 0, 0])


def pool_stride_1(graph: Graph) -> None:
    """The first pooling steps by 1, and the first 12 rows and columns are taken."""
    node = graph.node("MaxPool", 0)
    graph.set_attribute(node, "strides", [1, 1])
    graph.insert_after(node.output[0], "Slice", *_corner(graph, POOL1_SIZE))


def same_padding_with_crop(graph: Graph) -> None:
    """The first convolution pads by 2, and the first 24 rows and columns are taken."""
    node = graph.node("Conv", 0)
    graph.set_attribute(node, "pads", [2, 2, 2, 2])
    graph.insert_after(node.output[0], "Slice", *_corner(graph, CONV1_SIZE))


def kernel_spread(graph: Graph) -> None:
    """The first convolution is dilated by 2, padded so that its size holds."""
    node = graph.node("Conv", 0)
    graph.set_attribute(node, "dilations", [2, 2])
    graph.set_attribute(node, "pads", [2, 2, 2, 2])


def flattened_channels_last(graph: Graph) -> None:
    """The maps are flattened in the order rows, columns, channels."""
    graph.insert_before(graph.node("Reshape"), "Transpose", perm=[0, 2, 3, 1])


def flattened_columns_first(graph: Graph) -> None:
    """The maps are flattened in the order channels, columns, rows."""
    graph.insert_before(graph.node("Reshape"), "Transpose", perm=[0, 1, 3, 2])


def dropout_left_in(graph: Graph) -> None:
    """The hidden layer's dropout is in training mode."""
    ratio, training = graph.constant(np.array(0.5, np.float32)), graph.constant(np.array(True))
    graph.insert_after(graph.node("Relu", 2).output[0], "Dropout", ratio, training, seed=SEED)


def dropout_scale_left_in(graph: Graph) -> None:
    """The hidden layer is scaled by a half, as dropout of the older kind wants."""
    graph.insert_after(graph.node("Relu", 2).output[0], "Mul", graph.constant(np.array(0.5, np.float32)))


def hidden_layer_in_float16(graph: Graph) -> None:
    """The hidden layer's values are rounded to float16."""
    value = graph.node("Relu", 2).output[0]
    graph.insert_after(value, "Cast", to=10)
    graph.insert_after(graph.node("Cast", 1).output[0], "Cast", to=1)


def batch_in_the_reshape(graph: Graph) -> None:
    """The reshape before the hidden layer is fixed to the two images of the tracing."""
    graph.edit(graph.node("Reshape").input[1], lambda shape: np.array([2, *shape[1:]]))


def _corner(graph: Graph, size: int) -> list[str]:
    return [graph.constant(np.array(pair, np.int64)) for pair in ([0, 0], [size, size], [2, 3])]


LAYER_FAULTS: tuple[Fault, ...] = (
    first_relu_removed,
    second_relu_removed,
    hidden_relu_removed,
    leaky_relu,
    relu_clipped_at_1,
    average_for_max_pooling,
    pool_window_of_3,
    pool_shifted,
    pool_stride_1,
    same_padding_with_crop,
    kernel_spread,
    flattened_channels_last,
    flattened_columns_first,
    dropout_left_in,
    dropout_scale_left_in,
    hidden_layer_in_float16,
    batch_in_the_reshape,
)
