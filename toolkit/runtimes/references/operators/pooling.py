"""Pooling: MaxPool, AveragePool and LpPool of windows, of whole maps, and MaxUnpool.

Shapes: N batch, C channels, D1... the maps' own axes, O1... the windows along each of them.
"""

from __future__ import annotations

__all__: list[str] = []

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator
from toolkit.runtimes.references.operators.windows import place_windows


@operator("MaxPool")
def _max_pool(
    x: Array, *, kernel_shape: list[int], num_outputs: int, storage_order: int = 0, **layout: Any
) -> tuple[Array, ...]:
    """Return each window's maximum and, asked for, its place; Operators.md, MaxPool-22.

    Places are int64 in the flattened x, padding not counted; `storage_order` 1 counts the first of the maps' own axes
    fastest. Changelog.md: places came with opset 8, dilations and rounding up with 10; nothing else changed.
    """
    windows = place_windows(x.shape[2:], kernel_shape, **layout)
    lowest = -np.inf if np.issubdtype(x.dtype, np.inexact) else np.iinfo(x.dtype).min
    view = windows.view(windows.pad(x, lowest))
    if num_outputs == 1:
        return (view.max(axis=windows.inner_axes),)
    flat = view.reshape(*view.shape[: 2 + len(windows.counts)], -1)
    best = flat.argmax(axis=-1)
    inner = np.unravel_index(best, windows.kernel)
    outer = np.indices(tuple(windows.counts))
    steps = zip(outer, windows.strides, inner, windows.dilations, windows.begins, strict=True)
    places = [start * stride + own * dilation - begin for start, stride, own, dilation, begin in steps]
    sizes = windows.sizes
    # Of a window of nothing but the least number padding is the first maximum: the element beside it stands for it.
    place = np.ravel_multi_index(places, tuple(sizes), mode="clip", order="F" if storage_order else "C")
    maps = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * len(sizes))
    return np.take_along_axis(flat, best[..., None], -1)[..., 0], place + maps * math.prod(sizes)


@operator("AveragePool")
def _average_pool(x: Array, *, kernel_shape: list[int], count_include_pad: int = 0, **layout: Any) -> Array:
    """Return each window's mean over the elements that count, which what rounding up adds never does; AveragePool-22.

    Changelog.md: `count_include_pad` came with opset 7, rounding up with 10, dilations with 19; nothing else changed.
    """
    windows = place_windows(x.shape[2:], kernel_shape, **layout)
    sums = windows.view(windows.pad(x, 0)).sum(axis=windows.inner_axes)
    counted = windows.pad(np.ones(windows.sizes, x.dtype), 0)
    if count_include_pad:
        counted[tuple(map(slice, windows.begins + windows.sizes + windows.ends))] = 1
    result: Array = sums / windows.view(counted).sum(axis=windows.inner_axes)
    return result.astype(x.dtype)


@operator("LpPool")
def _lp_pool(x: Array, *, kernel_shape: list[int], p: float, **layout: Any) -> Array:
    """Return each window's p-norm; Operators.md, LpPool-22. Rounding up and dilations came with opset 18."""
    windows = place_windows(x.shape[2:], kernel_shape, **layout)
    return _norm(windows.view(windows.pad(x, 0)), p, windows.inner_axes)


def _norm(values: Array, power: float, axes: Sequence[int], *, keepdims: bool = False) -> Array:
    """Return sum(|x|^p)^(1/p) over axes."""
    return np.asarray((np.abs(values) ** power).sum(axis=tuple(axes), keepdims=keepdims) ** (1.0 / power))


@operator("GlobalMaxPool")
def _global_max_pool(x: Array) -> Array:
    """Return the maximum of each map; Operators.md, GlobalMaxPool: over all axes after the second."""
    return np.asarray(x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


@operator("GlobalLpPool")
def _global_lp_pool(x: Array, *, p: float) -> Array:
    """Return the p-norm of each map; Operators.md, GlobalLpPool."""
    return _norm(x, p, range(2, x.ndim), keepdims=True)


@operator("MaxUnpool")
def _max_unpool(
    x: Array,
    places: Array,
    sizes: Array | None = None,
    *,
    kernel_shape: list[int],
    strides: list[int] | None,
    pads: list[int] | None,
) -> Array:
    """Put maxima back to their places among zeros; Operators.md, MaxUnpool: the partial inverse of MaxPool.

    The places count in the tensor that was pooled, whose sizes are given where the attributes leave them open. ONNX's
    evaluator (1.23) counts in the smaller tensor that the attributes describe.
    """
    rank = len(kernel_shape)
    padding = np.reshape(pads or [0] * 2 * rank, (2, rank)).sum(axis=0)
    own = (np.array(x.shape[2:]) - 1) * (strides or [1] * rank) - padding + kernel_shape
    result = np.zeros((*x.shape[:2], *own) if sizes is None else tuple(sizes.tolist()), x.dtype)
    result.reshape(-1)[places.reshape(-1)] = x.reshape(-1)
    return result
