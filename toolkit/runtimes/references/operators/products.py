"""Products of matrices: Gemm, Attention, and convolutions, one product for each place in the kernel.

A dilated kernel is never spread into zeros: no more than one shifted copy of the input is held.

Shapes: N batch, C channels, G groups, M maps that come out, D1... the maps' own axes, K1... the kernel's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx.reference.ops.op_attention import Attention, Attention_23, Attention_25

from toolkit.runtimes.references.operators.declared import Array, operator
from toolkit.runtimes.references.operators.pooling import place_windows


@operator("Gemm")
def _gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float,
    beta: float,
    transA: int,  # the standard's own names
    transB: int,
    broadcast: int = 1,
) -> Array:
    """Return alpha * A' * B' + beta * C; Operators.md, Gemm.

    Changelog.md: before opset 7 C is laid out only where `broadcast` asks for it.
    """
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    if c is None:
        return np.asarray(product).astype(a.dtype)
    if not broadcast and c.shape != product.shape:
        raise ValueError(f"C is {list(c.shape)}; expected {list(product.shape)} without broadcast")
    return np.asarray(product + beta * c).astype(a.dtype)


def _declare_attention(base: type[Attention], since: int, *, before: int | None) -> None:
    @operator("Attention", since=since, before=before)
    class Own(base):  # type: ignore[valid-type,misc]  # one of two
        """Operators.md, Attention: `qk_matmul_output_mode` 0 is the bare product; the evaluator (1.23) bounds it."""

        def _run(self, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
            answers: tuple[Array, ...] = super()._run(*inputs, **attributes)
            if attributes["qk_matmul_output_mode"] or not attributes["softcap"]:
                return answers
            return (*answers[:3], super()._run(*inputs, **attributes | {"softcap": None})[3])


_declare_attention(Attention_23, 23, before=25)
_declare_attention(Attention_25, 25, before=None)


@operator("Conv")
def _convolve(
    x: Array, weight: Array, bias: Array | None = None, *, group: int, kernel_shape: list[int] | None, **layout: Any
) -> Array:
    """Convolve `[N, C, D1, ...]` with `[M, C/G, K1, ...]`; Operators.md, Conv."""
    windows = place_windows(x.shape[2:], kernel_shape or weight.shape[2:], **layout)
    padded = windows.pad(x, 0)
    batch, maps = len(x), len(weight)
    kernels = weight.reshape(group, maps // group, weight.shape[1], *weight.shape[2:])
    total = np.zeros((batch, group, maps // group, math.prod(windows.counts)), np.result_type(x, weight))
    for place in itertools.product(*map(range, windows.kernel)):
        shifted = padded[_meet(place, windows.dilations, counts=windows.counts, strides=windows.strides)]
        total += kernels[_at(place)] @ shifted.reshape(batch, group, weight.shape[1], -1)
    return _add_bias(total.reshape(batch, maps, *windows.counts), bias)


def _meet(place: Sequence[int], dilations: Array, *, counts: Array, strides: Array) -> Any:
    """Return an index of what one place of the kernel meets along the last axes, window by window."""
    starts = place * dilations
    return _at(map(slice, starts, starts + (counts - 1) * strides + 1, strides))


def _at(place: Iterable[Any]) -> Any:
    """Return an index into the last axes."""
    return (..., *place)


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
    rank, sizes, kernel = x.ndim - 2, np.array(x.shape[2:]), np.array(weight.shape[2:])
    steps, spread = (np.array(layout[name] or [1] * rank) for name in ("strides", "dilations"))
    # All that is written, before it is cut.
    full = steps * (sizes - 1) + np.array(layout["output_padding"] or [0] * rank) + (kernel - 1) * spread + 1
    if output_shape or auto_pad in {"SAME_UPPER", "SAME_LOWER"}:
        # input * stride, but padding is never negative: a kernel under the stride leaves less.
        wanted = np.array(output_shape[-rank:]) if output_shape else np.minimum(sizes * steps, full)
        # An odd element of padding lies at the beginning, but for SAME_UPPER.
        begins = (full - wanted + (auto_pad != "SAME_UPPER")) // 2
    else:
        begins, ends = np.reshape(
            layout["pads"] if layout["pads"] and auto_pad == "NOTSET" else [0] * 2 * rank, (2, -1)
        )
        wanted = full - begins - ends
    written = _spread(x, weight, group=group, sizes=full, steps=steps, dilations=spread)
    return _add_bias(_crop(written, begins, wanted=wanted), bias)


def _spread(x: Array, weight: Array, *, group: int, sizes: Array, steps: Array, dilations: Array) -> Array:
    """Return `[N, M, ...]` of the given sizes, all that is written."""
    batch, channels = x.shape[:2]
    kernels = weight.reshape(group, channels // group, *weight.shape[1:])
    rows = x.reshape(batch, group, channels // group, -1)
    total = np.zeros((batch, group, weight.shape[1], *sizes), np.result_type(x, weight))
    for place in itertools.product(*map(range, weight.shape[2:])):
        product = np.swapaxes(kernels[_at(place)], -1, -2) @ rows
        where = _meet(place, dilations, counts=np.array(x.shape[2:]), strides=steps)
        total[where] += product.reshape(*product.shape[:3], *x.shape[2:])
    return total.reshape(batch, group * weight.shape[1], *sizes)


def _crop(written: Array, begins: Array, *, wanted: Array) -> Array:
    """Cut the maps to sizes from a beginning on; where that lies before or beyond them there are zeros."""
    result = np.zeros((*written.shape[:2], *wanted), written.dtype)
    sizes = np.array(written.shape[2:])
    source = map(slice, np.maximum(begins, 0), np.minimum(begins + wanted, sizes))
    target = map(slice, np.maximum(-begins, 0), np.minimum(sizes - begins, wanted))
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
    found = _interpolate(x.reshape(batch, offset_group, -1, *x.shape[2:]), down, across=across)
    if mask is not None:
        found = found * mask.reshape(batch, offset_group, 1, places, *windows.counts)
    rows = found.reshape(batch, group, weight.shape[1] * places, -1)
    total = weight.reshape(group, len(weight) // group, -1) @ rows
    return _add_bias(total.reshape(batch, len(weight), *windows.counts), bias).astype(x.dtype)


def _interpolate(maps: Array, down: Array, *, across: Array) -> Array:
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
