"""Windows that slide over maps, where they lie under each kind of padding; and pooling: of windows, of whole maps.

Shapes: N batch, C channels, D1... the maps' own axes, O1... the windows along each of them, K1... a window's own axes.
"""

from __future__ import annotations

__all__ = ["Windows", "place_windows"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from toolkit.runtimes.references.operators.declared import Array, operator

# Beyond it products of two sizes leave 64 bits without a word, and windows would lie outside of the maps' memory.
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Where windows lie; int64 `[D]`, a number for each of the maps' own axes.

    Attributes:
        sizes: of the maps.
        kernel: of a window.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        begins: elements of padding before each axis.
        ends: elements of padding after it, as stated or as `auto_pad` makes them.
        counts: windows along each axis.
    """

    sizes: Array
    kernel: Array
    strides: Array
    dilations: Array
    begins: Array
    ends: Array
    counts: Array

    def pad(self, maps: Array, value: Any) -> Array:
        """Pad `[..., D1, ...]` to where the last window ends, which rounding up may carry beyond the stated padding."""
        reach = (self.counts - 1) * self.strides + (self.kernel - 1) * self.dilations + 1
        ends = np.maximum(self.ends, reach - self.sizes - self.begins)
        widths = [(0, 0)] * (maps.ndim - len(self.sizes)) + list(zip(self.begins, ends, strict=True))
        return np.pad(maps, widths, constant_values=value)

    def view(self, padded: Array) -> Array:
        """Return the windows of padded maps as `[..., O1, ..., K1, ...]`, a view."""
        rank = len(self.sizes)
        own = np.array(padded.strides[-rank:])
        steps = (*padded.strides[:-rank], *(own * self.strides), *(own * self.dilations))
        return as_strided(padded, (*padded.shape[:-rank], *self.counts, *self.kernel), steps, writeable=False)

    @property
    def inner_axes(self) -> tuple[int, ...]:
        """The axes of a view that are a window's own, counted from the end."""
        return tuple(range(-len(self.kernel), 0))


def place_windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
) -> Windows:
    """Return where windows lie; Operators.md, MaxPool and Conv: `pads`, `auto_pad`, `ceil_mode`.

    SAME_UPPER and SAME_LOWER make ceil(size / stride) windows and lay an odd element of padding at the end or at the
    beginning. Rounding up makes no window that would begin in the padding at the end.

    Raises:
        ValueError: a size under 1, or so large that no file means it.
    """
    rank = len(sizes)
    lengths, widths = np.array(sizes), np.array(kernel)
    steps, spread = np.array(strides or [1] * rank), np.array(dilations or [1] * rank)
    if not all(0 < size <= LARGEST for size in (*widths, *steps, *spread)):
        raise ValueError(f"kernel {kernel}, strides {strides}, dilations {dilations}; expected 1 to {LARGEST:,}")
    spans = (widths - 1) * spread + 1
    if auto_pad in {"SAME_UPPER", "SAME_LOWER"}:
        counts = -(-lengths // steps)
        total = np.maximum((counts - 1) * steps + spans - lengths, 0)
        begins = (total + (auto_pad == "SAME_LOWER")) // 2
        ends = total - begins
    else:
        begins, ends = np.reshape([0] * 2 * rank if auto_pad == "VALID" or not pads else pads, (2, rank))
        room = lengths + begins + ends - spans
        counts = (-(-room // steps) if ceil_mode else room // steps) + 1
        if ceil_mode:
            counts = counts - ((counts - 1) * steps >= lengths + begins)
    return Windows(
        sizes=lengths,
        kernel=widths,
        strides=steps,
        dilations=spread,
        begins=begins,
        ends=ends,
        counts=counts,
    )


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
    return _norm(windows.view(windows.pad(x, 0)), p, axes=windows.inner_axes)


def _norm(values: Array, power: float, *, axes: Sequence[int], keepdims: bool = False) -> Array:
    """Return sum(|x|^p)^(1/p) over axes."""
    return np.asarray((np.abs(values) ** power).sum(axis=tuple(axes), keepdims=keepdims) ** (1.0 / power))


@operator("GlobalMaxPool")
def _global_max_pool(x: Array) -> Array:
    """Return the maximum of each map; Operators.md, GlobalMaxPool: over all axes after the second."""
    return np.asarray(x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


@operator("GlobalLpPool")
def _global_lp_pool(x: Array, *, p: float) -> Array:
    """Return the p-norm of each map; Operators.md, GlobalLpPool."""
    return _norm(x, p, axes=range(2, x.ndim), keepdims=True)


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
