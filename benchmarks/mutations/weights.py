"""Faults in the weights of the tutorial's CNN. Kernels: `[out, in, rows, columns]`; dense weights: `[out, in]`."""

from __future__ import annotations

__all__ = ["WEIGHT_FAULTS"]

import ml_dtypes
import numpy as np

from mutations.graph import Array, Fault, Graph

SEED = 20_261_125
CONV1, CONV2, DENSE1, DENSE2 = "stages.0.convs.0", "stages.1.convs.0", "dense1", "dense2"
PARAMETERS = [f"{layer}.{kind}" for layer in (CONV1, CONV2, DENSE1, DENSE2) for kind in ("weight", "bias")]


def bias_of_conv1_dropped(graph: Graph) -> None:
    """The first convolution has no bias."""
    graph.edit(f"{CONV1}.bias", np.zeros_like)


def bias_of_conv2_dropped(graph: Graph) -> None:
    """The second convolution has no bias."""
    graph.edit(f"{CONV2}.bias", np.zeros_like)


def bias_of_dense1_dropped(graph: Graph) -> None:
    """The hidden layer has no bias."""
    graph.edit(f"{DENSE1}.bias", np.zeros_like)


def bias_of_dense2_dropped(graph: Graph) -> None:
    """The last layer has no bias."""
    graph.edit(f"{DENSE2}.bias", np.zeros_like)


def kernels_of_conv1_transposed(graph: Graph) -> None:
    """Rows and columns of the first kernels are swapped."""
    graph.edit(f"{CONV1}.weight", lambda kernels: kernels.transpose(0, 1, 3, 2))


def kernels_of_conv2_transposed(graph: Graph) -> None:
    """Rows and columns of the second kernels are swapped."""
    graph.edit(f"{CONV2}.weight", lambda kernels: kernels.transpose(0, 1, 3, 2))


def kernels_of_conv1_flipped(graph: Graph) -> None:
    """The first layer convolves where it correlated."""
    graph.edit(f"{CONV1}.weight", lambda kernels: kernels[:, :, ::-1, ::-1])


def kernels_of_conv2_flipped(graph: Graph) -> None:
    """The second layer convolves where it correlated."""
    graph.edit(f"{CONV2}.weight", lambda kernels: kernels[:, :, ::-1, ::-1])


def input_channels_permuted(graph: Graph) -> None:
    """The second convolution reads its channels one place further."""
    graph.edit(f"{CONV2}.weight", lambda kernels: np.roll(kernels, 1, axis=1))


def output_channels_permuted(graph: Graph) -> None:
    """The second convolution writes its channels one place further."""
    for kind in ("weight", "bias"):
        graph.edit(f"{CONV2}.{kind}", lambda array: np.roll(array, 1, axis=0))


def hidden_weights_transposed(graph: Graph) -> None:
    """The hidden layer's square matrix is transposed."""
    graph.edit(f"{DENSE1}.weight", np.transpose)


def two_hidden_units_swapped(graph: Graph) -> None:
    """Two rows of the hidden layer change places, their columns in the last layer do not."""
    one, other = np.random.default_rng(SEED).choice(len(graph.array(f"{DENSE1}.bias")), 2, replace=False)
    for kind in ("weight", "bias"):
        graph.edit(f"{DENSE1}.{kind}", lambda array: _swap(array, int(one), int(other)))


def classes_permuted(graph: Graph) -> None:
    """The classes stand in another order."""
    for kind in ("weight", "bias"):
        graph.edit(f"{DENSE2}.{kind}", lambda array: np.roll(array, 1, axis=0))


def weights_of_another_seed(graph: Graph) -> None:
    """All weights come from another seed's run, which is as accurate."""
    for ending in PARAMETERS:
        graph.edit(ending, lambda _, ending=ending: graph.donated(ending))  # type: ignore[misc]  # bound at once


def last_layer_of_another_seed(graph: Graph) -> None:
    """The last layer comes from another seed's run."""
    for kind in ("weight", "bias"):
        graph.edit(f"{DENSE2}.{kind}", lambda _, kind=kind: graph.donated(f"{DENSE2}.{kind}"))  # type: ignore[misc]


def first_bias_of_another_seed(graph: Graph) -> None:
    """The first convolution's bias comes from another seed's run."""
    graph.edit(f"{CONV1}.bias", lambda _: graph.donated(f"{CONV1}.bias"))


def channel_of_conv1_zeroed(graph: Graph) -> None:
    """One channel of the first convolution is always 0."""
    _zero_row(graph, CONV1)


def channel_of_conv2_zeroed(graph: Graph) -> None:
    """One channel of the second convolution is always 0."""
    _zero_row(graph, CONV2)


def hidden_unit_zeroed(graph: Graph) -> None:
    """One of 1,024 hidden units is always 0."""
    _zero_row(graph, DENSE1)


def hidden_input_ignored(graph: Graph) -> None:
    """The hidden layer ignores one of its 1,024 inputs."""
    column = _choose(graph.array(f"{DENSE1}.weight").shape[1])
    graph.edit(f"{DENSE1}.weight", lambda array: _scaled(array, np.s_[:, column], 0))


def kernel_place_zeroed(graph: Graph) -> None:
    """One place of one kernel of the first convolution is 0."""
    place = _choose(graph.array(f"{CONV1}.weight").size)
    graph.edit(f"{CONV1}.weight", lambda array: _scaled(array.reshape(-1), place, 0).reshape(array.shape))


def largest_last_weight_one_percent_off(graph: Graph) -> None:
    """The largest weight of the last layer is 1 % larger."""
    graph.edit(f"{DENSE2}.weight", lambda array: _scale_largest(array, 1.01))


def sign_of_one_hidden_weight(graph: Graph) -> None:
    """One of the hidden layer's 1,048,576 weights has the other sign."""
    place = _choose(graph.array(f"{DENSE1}.weight").size)
    graph.edit(f"{DENSE1}.weight", lambda array: _scaled(array.reshape(-1), place, -1).reshape(array.shape))


def weights_rounded_to_float16(graph: Graph) -> None:
    """All weights are rounded to float16."""
    graph.edit_weights(lambda array: array.astype(np.float16))


def weights_rounded_to_bfloat16(graph: Graph) -> None:
    """All weights are rounded to bfloat16."""
    graph.edit_weights(lambda array: array.astype(ml_dtypes.bfloat16).astype(np.float32))


def weights_rounded_to_int8(graph: Graph) -> None:
    """All weights are rounded to 255 steps a tensor."""
    graph.edit_weights(_round_to_int8)


def _zero_row(graph: Graph, layer: str) -> None:
    row = _choose(len(graph.array(f"{layer}.bias")))
    for kind in ("weight", "bias"):
        graph.edit(f"{layer}.{kind}", lambda array: _scaled(array, row, 0))


def _choose(count: int) -> int:
    return int(np.random.default_rng(SEED).integers(count))


def _scaled(array: Array, place: object, factor: float) -> Array:
    array[place] *= factor  # type: ignore[index]  # an index or a tuple of slices
    return array


def _scale_largest(array: Array, factor: float) -> Array:
    array.flat[int(np.abs(array).argmax())] *= factor
    return array


def _swap(array: Array, one: int, other: int) -> Array:
    array[[one, other]] = array[[other, one]]
    return array


def _round_to_int8(array: Array) -> Array:
    step = np.abs(array).max() / 127
    rounded: Array = np.round(array / step) * step
    return rounded


WEIGHT_FAULTS: tuple[Fault, ...] = (
    bias_of_conv1_dropped,
    bias_of_conv2_dropped,
    bias_of_dense1_dropped,
    bias_of_dense2_dropped,
    kernels_of_conv1_transposed,
    kernels_of_conv2_transposed,
    kernels_of_conv1_flipped,
    kernels_of_conv2_flipped,
    input_channels_permuted,
    output_channels_permuted,
    hidden_weights_transposed,
    two_hidden_units_swapped,
    classes_permuted,
    weights_of_another_seed,
    last_layer_of_another_seed,
    first_bias_of_another_seed,
    channel_of_conv1_zeroed,
    channel_of_conv2_zeroed,
    hidden_unit_zeroed,
    hidden_input_ignored,
    kernel_place_zeroed,
    largest_last_weight_one_percent_off,
    sign_of_one_hidden_weight,
    weights_rounded_to_float16,
    weights_rounded_to_bfloat16,
    weights_rounded_to_int8,
)
