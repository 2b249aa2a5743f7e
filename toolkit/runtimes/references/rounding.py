"""Values in float64 together with the variance that rounding gives them, propagated operator by operator.

The model of a dot product s = sum(a_i w_i) of length n in arithmetic of unit roundoff u, with independent errors
(docs/decisions/0001-bound.md): each product is rounded once, each partial sum once. A partial sum after k terms is a
drift towards s plus a random walk, so its mean square is (k/n)^2 s^2 + (k/n) v with v = sum((a_i w_i)^2), and

    variance = u^2 * (n * (s^2 / 3 + v / 2) + v) + sum(w_i^2 * variance(a_i)).

Shapes: N images, C channels, H rows, W columns, O output channels, P window positions.
"""

from __future__ import annotations

__all__ = [
    "BOUND_FACTOR",
    "BOUND_FORMULA",
    "UNIT_ROUNDOFF",
    "Rounded",
    "bound_from_errors",
    "bound_from_sigma",
    "dense",
    "dot_product",
    "max_pool",
    "mean",
    "normalise",
    "pointwise",
    "relu",
    "term_noise",
    "windows",
]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError

# Half the distance from 1 to the next number: IEEE 754 binary32 and binary16, bfloat16's 8 bits of significand and
# TF32's 11. The last two are taken for every step, though sums are kept in float32.
UNIT_ROUNDOFF = {"fp32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8, "tf32": 2.0**-11}

# How many standard deviations are still called rounding.
BOUND_FACTOR = 8.0
BOUND_FORMULA = (
    "8 standard deviations of independent rounding errors propagated in float64 (docs/decisions/0001-bound.md)"
)

# What images that nobody has seen may need beyond the largest error of those that were.
QUANTISED_FACTOR = 2.0

# Roundings of (x - mean) factor, in units of u^2 of its square: a sum under a root counts 1/4; then the root, its
# reciprocal, the product with the scale, the difference, the last product.
FACTOR_ROUNDINGS = 5.25

Array = NDArray[np.float64]


class Rounded(NamedTuple):
    """A tensor and what rounding did to it.

    Attributes:
        value: float64 values.
        variance: expected squared error of each value, same shape.
    """

    value: Array
    variance: Array


def pointwise(value: Array, carried: Array, *, roundoff: float) -> Rounded:
    """Return an elementwise result rounded once: `carried` is the variance that its operands bring."""
    return Rounded(value, carried + (roundoff * value) ** 2)


def dense(item: Rounded, weight: Array, *, bias: Array | None, roundoff: float) -> Rounded:
    """Multiply rows by a matrix.

    Args:
        item: `[rows, n]`.
        weight: `[n, O]`, exact.
        bias: `[O]`, exact, or None.
        roundoff: unit roundoff of the arithmetic.
    """
    length = len(weight)
    noise = term_noise(item, length=length, roundoff=roundoff) @ weight**2
    return dot_product(item.value @ weight, noise, bias=bias, length=length, roundoff=roundoff)


def term_noise(item: Rounded, *, length: int, roundoff: float) -> Array:
    """Return what each value brings into a dot product for a weight of 1: its own variance and u^2 (n/2 + 1) a^2."""
    return item.variance + roundoff**2 * (length / 2 + 1) * item.value**2


def dot_product(total: Array, noise: Array, *, bias: Array | None, length: int, roundoff: float) -> Rounded:
    """Return finished dot products.

    Args:
        total: `[rows, O]`, the sums.
        noise: `[rows, O]`, the terms' noise (`term_noise`) summed with the squared weights.
        bias: `[O]`, exact, or None.
        length: terms in one sum.
        roundoff: unit roundoff of the arithmetic.
    """
    variance = noise + roundoff**2 * length * total**2 / 3
    if bias is None:
        return Rounded(total, variance)
    return pointwise(total + bias, variance, roundoff=roundoff)


def normalise(item: Rounded, factor: Array, *, mean: Array, bias: Array, roundoff: float) -> Rounded:
    """Return (x - mean) factor + bias, as batch normalisation computes it after training.

    Engines write it as it stands, or as x factor + (bias - mean factor) with two numbers a channel made beforehand; the
    variance holds the roundings of both (docs/decisions/0001-bound.md).

    Args:
        item: `[N, C, H, W]`.
        factor: `[C, 1, 1]`, scale / sqrt(variance + epsilon), exact; engines round it.
        mean: `[C, 1, 1]`, exact.
        bias: `[C, 1, 1]`, exact.
        roundoff: unit roundoff of the arithmetic.
    """
    centred, offset = (item.value - mean) * factor, bias - mean * factor
    terms = FACTOR_ROUNDINGS * centred**2 + (item.value * factor) ** 2 + (mean * factor) ** 2 + offset**2
    return pointwise(centred + bias, item.variance * factor**2 + roundoff**2 * terms, roundoff=roundoff)


def relu(item: Rounded) -> Rounded:
    """Clip at 0; an error cannot grow by it, and near 0 it may pass, so the variance is kept."""
    return Rounded(np.maximum(item.value, 0), item.variance)


def max_pool(item: Rounded, *, size: tuple[int, int], stride: tuple[int, int]) -> Rounded:
    """Take the largest of each window; its variance is the largest in the window, because any may win."""
    return Rounded(
        windows(item.value, size=size, stride=stride).max(axis=(-2, -1)),
        windows(item.variance, size=size, stride=stride).max(axis=(-2, -1)),
    )


def mean(item: Rounded, *, axis: int, keeps_axis: bool, roundoff: float) -> Rounded:
    """Average along an axis.

    The averaged values come from the same weights, so their errors may agree: the errors that they bring are averaged,
    not divided. The sum is rounded as a dot product's is, its division or multiplication by the reciprocal twice.
    """
    length = item.value.shape[axis]
    total = item.value.sum(axis=axis, keepdims=keeps_axis)
    squares = (item.value**2).sum(axis=axis, keepdims=keeps_axis)
    summed = roundoff**2 * length * (total**2 / 3 + squares / 2) / length**2
    average = total / length
    carried = item.variance.mean(axis=axis, keepdims=keeps_axis) + summed + (roundoff * average) ** 2
    return pointwise(average, carried, roundoff=roundoff)


def windows(maps: Array, *, size: tuple[int, int], stride: tuple[int, int]) -> Array:
    """Return a view `[N, C, H', W', kernel rows, kernel columns]` of `[N, C, H, W]`."""
    view = np.lib.stride_tricks.sliding_window_view(maps, size, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1]]


def bound_from_sigma(sigma: Array) -> float:
    """Return the bound for images whose logits have these standard deviations, rounded up to 3 significant digits.

    Rounding up keeps the figure the same where another BLAS adds in another order.

    Raises:
        ModelError: a deviation is not finite or none is positive: the graph holds NaN, infinity or only zeros.
    """
    bound = BOUND_FACTOR * float(sigma.max())
    if not 0 < bound < math.inf:
        raise ModelError(f"the rounding bound of this graph is {bound}; its weights hold NaN, infinity or only zeros")
    return _round_up(bound)


def bound_from_errors(errors: NDArray[np.floating]) -> float:
    """Return the bound of a quantised file: twice the largest of some logit errors, rounded up to 3 significant digits.

    A quantiser's steps are a thousand to a million times wider than a rounding error, and its errors are neither small
    nor independent: a value beyond the calibrated range is cut off. So the rounding formula is void, and the bound is
    not propagated but looked up on known images (docs/decisions/0010-int8.md).

    Raises:
        ModelError: the largest is 0 or not finite.
    """
    bound = QUANTISED_FACTOR * float(np.abs(errors).max())
    if not 0 < bound < math.inf:
        raise ModelError(f"the largest error of this quantised graph is {bound / QUANTISED_FACTOR}")
    return _round_up(bound)


def _round_up(bound: float) -> float:
    unit = 10.0 ** (math.floor(math.log10(bound)) - 2)
    return float(f"{math.ceil(bound / unit) * unit:.3g}")
