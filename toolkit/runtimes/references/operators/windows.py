"""Windows that slide over maps: where they lie under each kind of padding, and views of them that copy nothing.

Shapes: N batch, C channels, D1... the maps' own axes, O1... the windows along each of them, K1... a window's own axes.
"""

from __future__ import annotations

__all__ = ["Windows", "place_windows"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from toolkit.runtimes.references.operators.declared import Array

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
