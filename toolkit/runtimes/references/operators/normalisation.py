"""Normalisation: over a batch, neighbouring channels, a group, chosen axes, a norm; softmax and its kin.

Shapes: N batch, C channels, further axes after them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


@operator("BatchNormalization", before=14)
def _batch_normalization(
    x: Array,
    *parameters: Array,
    epsilon: float,
    momentum: float,
    num_outputs: int,
    is_test: int | None = None,
    spatial: int = 1,
) -> tuple[Array, ...]:
    """Normalise each channel by scale, bias, mean, variance; Changelog.md, BatchNormalization-1, -6, -7 and -9.

    One output is test mode, more are training mode; before opset 7 the attribute `is_test` names the mode. Before
    opset 9 `spatial` 0 takes every place of `[C, ...]` for itself. In training the batch's own mean and population
    variance are what it is normalised by, and both are carried on by `momentum`.

    Returns:
        The normalised x; in training mode also the running mean and variance, the batch's own mean and variance.
    """
    if num_outputs == 1 if is_test is None else is_test:
        return (_normalise(x, parameters, epsilon=epsilon),)
    scale, bias, *running = parameters
    axes = tuple(axis for axis in range(x.ndim) if axis != 1) if spatial else (0,)
    own = [x.mean(axis=axes), x.var(axis=axes)]
    carried = [old * momentum + new * (1 - momentum) for old, new in zip(running, own, strict=True)]
    return _normalise(x, (scale, bias, *own), epsilon=epsilon), *carried, *own


def _normalise(x: Array, parameters: tuple[Array, ...], *, epsilon: float) -> Array:
    """Return (x - mean) / sqrt(variance + epsilon) * scale + bias, each `[C]` or `[C, ...]`, in x's type."""
    scale, bias, mean, variance = (_along_channels(item, x.ndim) for item in parameters)
    result: Array = (x - mean) / np.sqrt(variance + epsilon) * scale + bias
    return result.astype(x.dtype)


def _along_channels(parameter: Array, rank: int) -> Array:
    """Lay `[C]` or `[C, ...]` along the axes of x from the second on; x of rank 1 has one channel."""
    return parameter.reshape(*parameter.shape, *[1] * (rank - 1 - parameter.ndim)) if rank > 1 else parameter


@operator("LRN")
def _local_response(x: Array, *, size: int, alpha: float, beta: float, bias: float) -> Array:
    """Return x / (bias + alpha / size * square_sum) ^ beta; Operators.md, LRN.

    The sum runs over channels c - floor((size - 1) / 2) to c + ceil((size - 1) / 2), those that exist.
    """
    channels = x.shape[1]
    squares, sums = x * x, np.zeros_like(x)
    for offset in range(-((size - 1) // 2), size // 2 + 1):
        first, last = max(0, -offset), min(channels, channels - offset)
        sums[:, first:last] += squares[:, max(first + offset, 0) : max(last + offset, 0)]
    result: Array = x / (bias + alpha / size * sums) ** beta
    return result


@operator("LpNormalization")
def _divide_by_norm(x: Array, *, p: int, axis: int) -> Array:
    """Return x / Lp_norm(x, axis), 0 where the norm is 0; Operators.md, LpNormalization."""
    norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1.0 / p)
    return np.asarray(x / np.where(norm == 0, 1, norm)).astype(x.dtype)


@operator("MeanVarianceNormalization", since=9)
def _standardise(x: Array, *, axes: list[int]) -> Array:
    """Return (x - mean) / (deviation + 1e-9) over axes; Operators.md, MeanVarianceNormalization: its body."""
    over = tuple(axes)
    mean, deviation = x.mean(axis=over, keepdims=True), x.std(axis=over, keepdims=True)
    return np.asarray((x - mean) / (deviation + 1e-9)).astype(x.dtype)


@operator("GroupNormalization", since=21)
def _groups(x: Array, scale: Array, bias: Array, *, epsilon: float, num_groups: int, **_: int) -> Array:
    """Normalise groups of channels; Operators.md, GroupNormalization-21: a scale and a bias for each channel.

    `stash_type` names the least precision of the mean; it is never more than what is computed in here.
    """
    grouped = x.reshape(len(x), num_groups, -1)
    mean, variance = grouped.mean(axis=2, keepdims=True), grouped.var(axis=2, keepdims=True)
    normal = ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
    return np.asarray(normal * _along_channels(scale, x.ndim) + _along_channels(bias, x.ndim)).astype(x.dtype)


def _softmax(x: Array, *, axis: int) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis; Operators.md, Softmax-13."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    result: Array = powers / powers.sum(axis=axis, keepdims=True)
    return result


def _log_softmax(x: Array, *, axis: int) -> Array:
    """Return log(softmax(x)) along an axis, without a quotient that could vanish; Operators.md, LogSoftmax-13."""
    shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return result


def _hardmax(x: Array, *, axis: int) -> Array:
    """Return 1 where the first maximum along an axis lies, else 0; Operators.md, Hardmax-13."""
    result = np.zeros_like(x)
    if x.size:
        np.put_along_axis(result, np.expand_dims(x.argmax(axis=axis), axis), 1, axis=axis)
    return result


def _flattened(x: Array, *, axis: int, along: Callable[..., Array]) -> Array:
    """Apply to `[a_0 * ... * a_(axis-1), a_axis * ... * a_(n-1)]`; Changelog.md, Softmax-1 and -11 and their kin."""
    rows = math.prod(x.shape[: axis % x.ndim if axis < 0 else axis])
    return along(x.reshape(rows, math.prod(x.shape) // rows if rows else 0), axis=1).reshape(x.shape)


for _name, _along in (("Softmax", _softmax), ("LogSoftmax", _log_softmax), ("Hardmax", _hardmax)):
    operator(_name, since=13)(_along)
    operator(_name, before=13)(functools.partial(_flattened, along=_along))
