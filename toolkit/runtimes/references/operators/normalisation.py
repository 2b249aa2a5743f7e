"""Normalisation: over a batch, neighbouring channels, an instance, a group, chosen axes, a norm.

Shapes: N batch, C channels, further axes after them.
"""

from __future__ import annotations

__all__: list[str] = []

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


@operator("BatchNormalization", since=14)
def _batch_normalization_14(
    x: Array, *parameters: Array, epsilon: float, momentum: float, training_mode: int
) -> tuple[Array, ...]:
    """Normalise each channel by scale, bias, mean, variance; Operators.md, BatchNormalization-14 and -15."""
    if not training_mode:
        return (_normalise(x, parameters, epsilon),)
    return _train(x, parameters, epsilon=epsilon, momentum=momentum)[:3]


@operator("BatchNormalization", since=9, before=14)
def _batch_normalization_9(
    x: Array, *parameters: Array, epsilon: float, momentum: float, num_outputs: int
) -> tuple[Array, ...]:
    """As in opset 14; Changelog.md, BatchNormalization-9: one output is test mode, more are training mode."""
    if num_outputs == 1:
        return (_normalise(x, parameters, epsilon),)
    return _train(x, parameters, epsilon=epsilon, momentum=momentum)


@operator("BatchNormalization", since=7, before=9)
def _batch_normalization_7(
    x: Array, *parameters: Array, epsilon: float, momentum: float, spatial: int, num_outputs: int
) -> tuple[Array, ...]:
    """As in opset 9; Changelog.md, BatchNormalization-7: `spatial` 0 takes every place of `[C, ...]` for itself."""
    if num_outputs == 1:
        return (_normalise(x, parameters, epsilon),)
    return _train(x, parameters, epsilon=epsilon, momentum=momentum, is_spatial=bool(spatial))


@operator("BatchNormalization", before=7)
def _batch_normalization_1(
    x: Array, *parameters: Array, epsilon: float, momentum: float, spatial: int, is_test: int
) -> tuple[Array, ...]:
    """As in opset 7; Changelog.md, BatchNormalization-1 and -6: the attribute `is_test` names the mode."""
    if is_test:
        return (_normalise(x, parameters, epsilon),)
    return _train(x, parameters, epsilon=epsilon, momentum=momentum, is_spatial=bool(spatial))


def _normalise(x: Array, parameters: tuple[Array, ...], epsilon: float) -> Array:
    """Return (x - mean) / sqrt(variance + epsilon) * scale + bias, each `[C]` or `[C, ...]`, in x's type."""
    scale, bias, mean, variance = (_along_channels(item, x.ndim) for item in parameters)
    result: Array = (x - mean) / np.sqrt(variance + epsilon) * scale + bias
    return result.astype(x.dtype)


def _train(
    x: Array, parameters: tuple[Array, ...], *, epsilon: float, momentum: float, is_spatial: bool = True
) -> tuple[Array, ...]:
    """Normalise by the batch's own mean and population variance; both are carried on by `momentum`.

    Returns:
        The normalised x, the running mean and variance, the batch's own mean and variance.
    """
    scale, bias, *running = parameters
    axes = tuple(axis for axis in range(x.ndim) if axis != 1) if is_spatial else (0,)
    own = [x.mean(axis=axes), x.var(axis=axes)]
    carried = [old * momentum + new * (1 - momentum) for old, new in zip(running, own, strict=True)]
    return _normalise(x, (scale, bias, *own), epsilon), *carried, *own


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


@operator("InstanceNormalization")
def _instances(x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
    """Normalise every map of every instance by its own mean and variance; Operators.md, InstanceNormalization."""
    axes = tuple(range(2, x.ndim))
    own = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    scale, bias = _along_channels(scale, x.ndim), _along_channels(bias, x.ndim)
    return np.asarray((x - own[0]) / np.sqrt(own[1] + epsilon) * scale + bias).astype(x.dtype)


@operator("GroupNormalization", since=21)
def _groups(x: Array, scale: Array, bias: Array, *, epsilon: float, num_groups: int, **_: int) -> Array:
    """Normalise groups of channels; Operators.md, GroupNormalization-21: a scale and a bias for each channel.

    `stash_type` names the least precision of the mean; it is never more than what is computed in here.
    """
    grouped = x.reshape(len(x), num_groups, -1)
    mean, variance = grouped.mean(axis=2, keepdims=True), grouped.var(axis=2, keepdims=True)
    normal = ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
    return np.asarray(normal * _along_channels(scale, x.ndim) + _along_channels(bias, x.ndim)).astype(x.dtype)


@operator("GroupNormalization", since=18, before=21)
def _groups_18(x: Array, scale: Array, bias: Array, *, epsilon: float, num_groups: int) -> Array:
    """As in opset 21; Changelog.md, GroupNormalization-18: a scale and a bias for each group."""
    each = x.shape[1] // num_groups
    return _groups(x, scale.repeat(each), bias.repeat(each), epsilon=epsilon, num_groups=num_groups)
