"""Windows that slide over maps: where they lie under each kind of padding, and views of them that copy nothing.

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

from toolkit.runtimes.references.operators.declared import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Where windows lie.

    Attributes:
        sizes: of the maps.
        kernel: of a window.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        begins: elements of padding before each axis.
        ends: elements of padding after it, as stated or as `auto_pad` makes them.
        counts: windows along each axis.
    """

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    counts: tuple[int, ...]

    def pad(self, maps: Array, value: Any) -> Array:
        """Pad `[..., D1, ...]` to where the last window ends, which rounding up may carry beyond the stated padding."""
        reach = [
            (count - 1) * stride + _span(size, dilation)
            for count, stride, size, dilation in zip(
                self.counts, self.strides, self.kernel, self.dilations, strict=True
            )
        ]
        ends = [
            max(end, far - size - begin)
            for end, far, size, begin in zip(self.ends, reach, self.sizes, self.begins, strict=True)
        ]
        widths = [(0, 0)] * (maps.ndim - len(self.sizes)) + list(zip(self.begins, ends, strict=True))
        return np.pad(maps, widths, constant_values=value)

    def view(self, padded: Array) -> Array:
        """Return the windows of padded maps as `[..., O1, ..., K1, ...]`, a view."""
        lead, own = padded.strides[: -len(self.sizes)], padded.strides[-len(self.sizes) :]
        moved = tuple(step * stride for step, stride in zip(own, self.strides, strict=True))
        inner = tuple(step * dilation for step, dilation in zip(own, self.dilations, strict=True))
        shape = (*padded.shape[: -len(self.sizes)], *self.counts, *self.kernel)
        return as_strided(padded, shape, (*lead, *moved, *inner), writeable=False)

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
    """
    rank = len(sizes)
    steps, spread = tuple(strides or [1] * rank), tuple(dilations or [1] * rank)
    spans = [_span(size, dilation) for size, dilation in zip(kernel, spread, strict=True)]
    if auto_pad in {"SAME_UPPER", "SAME_LOWER"}:
        counts = [-(-size // step) for size, step in zip(sizes, steps, strict=True)]
        total = [
            max((count - 1) * step + span - size, 0)
            for count, step, span, size in zip(counts, steps, spans, sizes, strict=True)
        ]
        begins = [(item + (auto_pad == "SAME_LOWER")) // 2 for item in total]
        ends = [item - begin for item, begin in zip(total, begins, strict=True)]
    else:
        stated = [0] * 2 * rank if auto_pad == "VALID" or not pads else list(pads)
        begins, ends = stated[:rank], stated[rank:]
        counts = [
            _count(size, begin, end, span=span, step=step, rounds_up=bool(ceil_mode))
            for size, begin, end, span, step in zip(sizes, begins, ends, spans, steps, strict=True)
        ]
    return Windows(
        sizes=tuple(sizes),
        kernel=tuple(kernel),
        strides=steps,
        dilations=spread,
        begins=tuple(begins),
        ends=tuple(ends),
        counts=tuple(counts),
    )


def _span(size: int, dilation: int) -> int:
    return (size - 1) * dilation + 1


def _count(size: int, begin: int, end: int, *, span: int, step: int, rounds_up: bool) -> int:
    room = size + begin + end - span
    if not rounds_up:
        return room // step + 1
    count = math.ceil(room / step) + 1
    return count - 1 if (count - 1) * step >= size + begin else count
