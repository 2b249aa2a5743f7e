"""Normalisation: BatchNormalization.

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
