"""Faults on the way from pixels to the first layer. Images: `[N, H, W]`, uint8."""

from __future__ import annotations

__all__ = ["INPUT_FAULTS"]

import numpy as np
from onnx import TensorProto

from mutations.graph import Fault, Graph

BACKWARDS = np.iinfo(np.int64).min + 1
# The constants of the web's MNIST tutorials, for pixels from 0 to 1.
WEB_MEAN, WEB_STD = 0.1307, 0.3081


def axes_swapped(graph: Graph) -> None:
    """Rows and columns of the image are swapped."""
    graph.insert_after("images", "Transpose", perm=[0, 2, 1])


def mirrored(graph: Graph) -> None:
    """The image is mirrored, left to right."""
    _reverse(graph, axis=2)


def upside_down(graph: Graph) -> None:
    """The image stands on its head."""
    _reverse(graph, axis=1)


def polarity_inverted(graph: Graph) -> None:
    """Every pixel x is 255 - x: dark ink is expected."""
    graph.insert_after("images", "BitwiseNot")


def divided_by_255_first(graph: Graph) -> None:
    """Pixels are scaled to 0 to 1 before the standardisation of raw ones."""
    graph.insert_after(graph.node("Cast").output[0], "Div", graph.constant(np.array(255, np.float32)))


def cast_wraps_to_int8(graph: Graph) -> None:
    """Pixels pass through int8: values over 127 become negative."""
    graph.insert_after("images", "Cast", to=TensorProto.INT8)


def lowest_bit_lost(graph: Graph) -> None:
    """The lowest bit of every pixel is cleared."""
    graph.insert_after("images", "BitwiseAnd", graph.constant(np.array(254, np.uint8)))


def bright_pixels_clipped(graph: Graph) -> None:
    """Pixels over 254 become 254."""
    limits = [graph.constant(np.array(value, np.uint8)) for value in (0, 254)]
    graph.insert_after("images", "Clip", *limits)


def image_shifted_by_a_pixel(graph: Graph) -> None:
    """The image moves right by one pixel; its last column is lost."""
    cast = graph.node("Cast").output[0]
    graph.insert_after(cast, "Slice", *_slice(graph, axis=2, start=0, end=-1))
    moved = graph.node("Slice").output[0]
    graph.insert_after(moved, "Pad", graph.constant(np.array([0, 0, 1, 0, 0, 0], np.int64)))


def standardisation_missing(graph: Graph) -> None:
    """Raw pixels go into the first layer."""
    graph.bypass(graph.node("Sub"))
    graph.bypass(graph.node("Div"))


def mean_not_subtracted(graph: Graph) -> None:
    """Pixels are divided by the deviation only."""
    graph.bypass(graph.node("Sub"))


def deviation_not_divided(graph: Graph) -> None:
    """Pixels lose the mean only."""
    graph.bypass(graph.node("Div"))


def standardisation_doubled(graph: Graph) -> None:
    """Pixels are standardised twice."""
    divided, mean, deviation = graph.node("Div"), graph.node("Sub").input[1], graph.node("Div").input[1]
    graph.insert_after(divided.output[0], "Sub", mean)
    graph.insert_after(graph.node("Sub", 1).output[0], "Div", deviation)


def divided_before_the_mean(graph: Graph) -> None:
    """The raw mean is subtracted after the division, not before it."""
    subtract, divide = graph.node("Sub"), graph.node("Div")
    mean, deviation = subtract.input[1], divide.input[1]
    subtract.op_type, divide.op_type = "Div", "Sub"
    subtract.input[1], divide.input[1] = deviation, mean


def deviation_doubled(graph: Graph) -> None:
    """The deviation is twice what it was in training."""
    graph.edit("network.std", lambda std: std * 2)


def variance_for_deviation(graph: Graph) -> None:
    """Pixels are divided by the variance."""
    graph.edit("network.std", lambda std: std**2)


def epsilon_on_the_deviation(graph: Graph) -> None:
    """0.001 is added to the deviation of 78.6."""
    graph.edit("network.std", lambda std: std + 1e-3)


def mean_off_by_a_pixel(graph: Graph) -> None:
    """The mean image is moved right by one pixel."""
    graph.edit("network.mean", lambda mean: np.roll(mean, 1, axis=1))


def mean_transposed(graph: Graph) -> None:
    """The mean image is transposed."""
    graph.edit("network.mean", np.transpose)


def mean_of_all_pixels(graph: Graph) -> None:
    """One mean for all pixels stands where each had its own."""
    graph.edit("network.mean", lambda mean: np.full_like(mean, mean.mean()))


def mean_rounded_to_whole_pixels(graph: Graph) -> None:
    """The mean image was kept as uint8."""
    graph.edit("network.mean", np.round)


def constants_of_the_web(graph: Graph) -> None:
    """Mean 0.1307 and deviation 0.3081, as tutorials have them, times 255."""
    graph.edit("network.mean", lambda mean: np.full_like(mean, 255 * WEB_MEAN))
    graph.edit("network.std", lambda std: np.full_like(std, 255 * WEB_STD))


def statistics_of_the_batch(graph: Graph) -> None:
    """The batch's own mean image is subtracted, as batch statistics left in training mode do."""
    subtract = graph.node("Sub")
    axes = graph.constant(np.array([0], np.int64))
    subtract.input[1] = graph.add("ReduceMean", subtract.input[0], axes, before=subtract)


def _reverse(graph: Graph, *, axis: int) -> None:
    graph.insert_after("images", "Slice", *_slice(graph, axis=axis, start=-1, end=BACKWARDS, step=-1))


def _slice(graph: Graph, *, axis: int, start: int, end: int, step: int = 1) -> list[str]:
    return [graph.constant(np.array([value], np.int64)) for value in (start, end, axis, step)]


INPUT_FAULTS: tuple[Fault, ...] = (
    axes_swapped,
    mirrored,
    upside_down,
    polarity_inverted,
    divided_by_255_first,
    cast_wraps_to_int8,
    lowest_bit_lost,
    bright_pixels_clipped,
    image_shifted_by_a_pixel,
    standardisation_missing,
    mean_not_subtracted,
    deviation_not_divided,
    standardisation_doubled,
    divided_before_the_mean,
    deviation_doubled,
    variance_for_deviation,
    epsilon_on_the_deviation,
    mean_off_by_a_pixel,
    mean_transposed,
    mean_of_all_pixels,
    mean_rounded_to_whole_pixels,
    constants_of_the_web,
    statistics_of_the_batch,
)
