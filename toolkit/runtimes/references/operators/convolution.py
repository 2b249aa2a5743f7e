"""Convolutions: Conv and ConvTranspose, one product of matrices for each place in the kernel.

A dilated kernel is never spread into zeros: no more than one shifted copy of the input is held.

Shapes: N batch, C channels, G groups, M maps that come out, D1... the maps' own axes, K1... the kernel's.
"""

from __future__ import annotations

__all__ = ["convolve"]

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator
from toolkit.runtimes.references.operators.windows import Windows, place_windows


@operator("Conv")
def convolve(
    x: Array, weight: Array, bias: Array | None = None, *, group: int, kernel_shape: list[int] | None, **layout: Any
) -> Array:
    """Convolve `[N, C, D1, ...]` with `[M, C/G, K1, ...]`; Operators.md, Conv."""
    windows = place_windows(x.shape[2:], kernel_shape or weight.shape[2:], **layout)
    padded = windows.pad(x, 0)
    batch, maps = len(x), len(weight)
    kernels = weight.reshape(group, maps // group, weight.shape[1], *weight.shape[2:])
    total = np.zeros((batch, group, maps // group, math.prod(windows.counts)), np.result_type(x, weight))
    for place in itertools.product(*map(range, windows.kernel)):
        shifted = padded[_at(_shift(windows, place))].reshape(batch, group, weight.shape[1], -1)
        total += kernels[_at(place)] @ shifted
    return _add_bias(total.reshape(batch, maps, *windows.counts), bias)


def _at(place: Sequence[int | slice]) -> Any:
    """Return an index into the last axes."""
    return (..., *place)


def _shift(windows: Windows, place: Sequence[int]) -> list[slice]:
    """Return what one place of the kernel meets of the padded maps, window by window."""
    starts = [index * dilation for index, dilation in zip(place, windows.dilations, strict=True)]
    steps = zip(starts, windows.counts, windows.strides, strict=True)
    return [slice(start, start + (count - 1) * stride + 1, stride) for start, count, stride in steps]


@operator("ConvTranspose")
def _convolve_transposed(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    group: int,
    output_shape: list[int] | None,
    auto_pad: str,
    **layout: Any,
) -> Array:
    """Add `[C, M/G, K1, ...]` times every element to where its window lies; Operators.md, ConvTranspose.

    Changelog.md, ConvTranspose-1 contradicts itself on which end takes an odd element of padding; -11 settled it.
    """
    rank = x.ndim - 2
    steps, spread = layout["strides"] or [1] * rank, layout["dilations"] or [1] * rank
    # stride * (input - 1) + output_padding + (kernel - 1) * dilation + 1: all that is written, before it is cut.
    full = [
        step * (size - 1) + more + (width - 1) * dilation + 1
        for step, size, more, width, dilation in zip(
            steps, x.shape[2:], layout["output_padding"] or [0] * rank, weight.shape[2:], spread, strict=True
        )
    ]
    if not output_shape and auto_pad in {"SAME_UPPER", "SAME_LOWER"}:
        # input * stride, but padding is never negative: a kernel under the stride leaves less.
        output_shape = [min(size * step, own) for size, step, own in zip(x.shape[2:], steps, full, strict=True)]
    if output_shape:
        wanted = output_shape[-rank:]
        begins = [_cut(size - want, auto_pad) for size, want in zip(full, wanted, strict=True)]
    else:
        pads = layout["pads"] if layout["pads"] and auto_pad == "NOTSET" else [0] * 2 * rank
        begins = pads[:rank]
        wanted = [size - begin - end for size, begin, end in zip(full, begins, pads[rank:], strict=True)]
    written = _spread(x, weight, group=group, sizes=full, steps=steps, dilations=spread)
    return _add_bias(_crop(written, begins, wanted), bias)


def _cut(total: int, auto_pad: str) -> int:
    """Return what of a total padding lies at the beginning: an odd element only where `auto_pad` is not SAME_UPPER."""
    return total // 2 if auto_pad == "SAME_UPPER" else total - total // 2


def _spread(
    x: Array, weight: Array, *, group: int, sizes: Sequence[int], steps: Sequence[int], dilations: Sequence[int]
) -> Array:
    """Return `[N, M, ...]` of the given sizes, all that is written."""
    batch, channels = x.shape[:2]
    kernels = weight.reshape(group, channels // group, *weight.shape[1:])
    rows = x.reshape(batch, group, channels // group, -1)
    total = np.zeros((batch, group, weight.shape[1], *sizes), np.result_type(x, weight))
    for place in itertools.product(*map(range, weight.shape[2:])):
        product = np.swapaxes(kernels[_at(place)], -1, -2) @ rows
        starts = [index * dilation for index, dilation in zip(place, dilations, strict=True)]
        where = [
            slice(start, start + (size - 1) * step + 1, step)
            for start, size, step in zip(starts, x.shape[2:], steps, strict=True)
        ]
        total[_at(where)] += product.reshape(*product.shape[:3], *x.shape[2:])
    return total.reshape(batch, group * weight.shape[1], *sizes)


def _crop(written: Array, begins: Sequence[int], wanted: Sequence[int]) -> Array:
    """Cut the maps to sizes from a beginning on; where that lies before or beyond them there are zeros."""
    result = np.zeros((*written.shape[:2], *wanted), written.dtype)
    spans = list(zip(begins, wanted, written.shape[2:], strict=True))
    source = tuple(slice(max(begin, 0), min(begin + want, size)) for begin, want, size in spans)
    target = tuple(slice(max(-begin, 0), min(size - begin, want)) for begin, want, size in spans)
    result[_at(target)] = written[_at(source)]
    return result


def _add_bias(maps: Array, bias: Array | None) -> Array:
    return maps if bias is None else maps + bias.reshape(-1, *[1] * (maps.ndim - 2))


@operator("DeformConv")
def _convolve_deformed(
    x: Array,
    weight: Array,
    offset: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    group: int,
    offset_group: int,
    kernel_shape: list[int] | None,
    **layout: Any,
) -> Array:
    """Convolve `[N, C, H, W]` with every element of a window moved by its own offset; Operators.md, DeformConv.

    An offset group of channels shares its offsets `[N, groups * K1 * K2 * 2, O1, O2]` and its mask; what falls between
    elements is interpolated linearly, what falls beside the maps is 0. The evaluator (1.23) rounds to float32 inside.
    """
    windows = place_windows(x.shape[2:], kernel_shape or weight.shape[2:], **layout)
    batch, places = len(x), math.prod(windows.kernel)
    moved = offset.reshape(batch, offset_group, places, 2, *windows.counts)
    axes = zip(windows.kernel, windows.dilations, windows.counts, windows.strides, windows.begins, strict=True)
    own = [
        np.arange(size)[:, None] * dilation + np.arange(count) * stride - begin
        for size, dilation, count, stride, begin in axes
    ]
    down = np.repeat(own[0], windows.kernel[1], axis=0)[:, :, None] + moved[:, :, :, 0]
    across = np.tile(own[1], (windows.kernel[0], 1))[:, None, :] + moved[:, :, :, 1]
    found = _interpolate(x.reshape(batch, offset_group, -1, *x.shape[2:]), down, across)
    if mask is not None:
        found = found * mask.reshape(batch, offset_group, 1, places, *windows.counts)
    rows = found.reshape(batch, group, weight.shape[1] * places, -1)
    total = weight.reshape(group, len(weight) // group, -1) @ rows
    return _add_bias(total.reshape(batch, len(weight), *windows.counts), bias).astype(x.dtype)


def _interpolate(maps: Array, down: Array, across: Array) -> Array:
    """Return `[N, G, C, ...]` of maps `[N, G, C, H, W]` at rows and columns `[N, G, ...]`, 0 beside the maps."""
    height, width = maps.shape[3:]
    flat = maps.reshape(*maps.shape[:3], height * width)
    total: Any = 0
    for row in (np.floor(down), np.floor(down) + 1):
        for column in (np.floor(across), np.floor(across) + 1):
            share = (1 - np.abs(down - row)) * (1 - np.abs(across - column))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = np.where(inside, row * width + column, 0).astype(np.int64)
            values = np.take_along_axis(flat, place.reshape(*place.shape[:2], 1, -1), -1)
            total = total + values.reshape(*maps.shape[:3], *place.shape[2:]) * np.where(inside, share, 0)[:, :, None]
    return np.asarray(total)
