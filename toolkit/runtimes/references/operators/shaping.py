"""Operators that move elements: padding, joining, splitting, repeating, reshaping, finding what differs."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


@operator("Pad", since=11)
def _pad_11(x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, *, mode: str) -> Array:
    """Add elements at both ends of axes, or take them away; Operators.md, Pad-11 to -25."""
    rank = x.ndim
    over = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    amounts = pads.tolist()
    spans = [(0, 0)] * rank
    for index, axis in enumerate(over):
        spans[axis] = amounts[index], amounts[index + len(over)]
    return _pad(x, spans, mode, 0 if value is None else value.reshape(()))


@operator("Pad", since=2, before=11)
def _pad_2(x: Array, *, pads: list[int], mode: str, value: float) -> Array:
    """As in opset 11, by attributes; Changelog.md, Pad-2."""
    return _pad(x, list(zip(pads[: x.ndim], pads[x.ndim :], strict=True)), mode, value)


@operator("Pad", before=2)
def _pad_1(x: Array, *, paddings: list[int], mode: str, value: float) -> Array:
    """As in opset 2, under another name; Changelog.md, Pad-1."""
    return _pad_2(x, pads=paddings, mode=mode, value=value)


def _pad(x: Array, spans: list[tuple[int, int]], mode: str, value: object) -> Array:
    """Take away what is negative, then add what is positive."""
    kept = x[
        tuple(slice(max(-begin, 0), size - max(-end, 0)) for (begin, end), size in zip(spans, x.shape, strict=True))
    ]
    added = [(max(begin, 0), max(end, 0)) for begin, end in spans]
    options: dict[str, Any] = {"constant_values": value} if mode == "constant" else {"mode": mode}
    return np.pad(kept, added, **options)


@operator("Unsqueeze", before=13)
def _unsqueeze(x: Array, *, axes: list[int]) -> Array:
    """Insert axes of size 1, their places counted in the result; Changelog.md, Unsqueeze-1 and -11."""
    return np.expand_dims(x, tuple(axes))


@operator("Concat", before=4)
def _concat(*parts: Array, axis: int | None) -> Array:
    """Join along an axis, the second where none is named; Changelog.md, Concat-1."""
    return np.concatenate(parts, 1 if axis is None else axis)


@operator("Split", before=2)
def _split(
    x: Array, lengths: Array | None = None, *, axis: int | None, split: list[int] | None, num_outputs: int
) -> tuple[Array, ...]:
    """Cut along an axis, the first where none is named; Changelog.md, Split-1."""
    sizes = split or (lengths.tolist() if lengths is not None else None)
    return tuple(np.split(x, np.cumsum(sizes)[:-1] if sizes else num_outputs, axis=axis or 0))


@operator("Tile", before=6)
def _tile(x: Array, tiles: Array, axis: Array) -> Array:
    """Repeat along one axis; Changelog.md, Tile-1."""
    repeats = [1] * x.ndim
    repeats[int(axis.reshape(-1)[0])] = int(tiles.reshape(-1)[0])
    return np.tile(x, repeats)


@operator("Reshape", before=5)
def _reshape(x: Array, *, shape: list[int] | None) -> Array:
    """Reshape; 0 keeps a size, -1 is what remains; Changelog.md, Reshape-1."""
    return x.reshape([x.shape[index] if size == 0 else size for index, size in enumerate(shape or [])])


@operator("Dropout", before=7)
def _dropout_1(x: Array, *, is_test: int, ratio: float) -> tuple[Array, ...]:
    """Return x as it is in test mode; Changelog.md, Dropout-1 and -6."""
    if not is_test:
        raise ValueError(f"Dropout of {ratio:g} in training mode draws its answer by chance")
    return x, np.ones(x.shape, bool)


@operator("Unique")
def _unique(x: Array, *, axis: int | None, sorted: int) -> tuple[Array, ...]:  # noqa: A002 - the standard's own name
    """Return what differs, where each comes first, which one every element is, and how often; Operators.md, Unique.

    In order, or as they come first: the evaluator (1.23) fails there.
    """
    found, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        rank = np.argsort(order)
        found = np.take(found, order, axis=axis or 0)
        first, counts, inverse = first[order], counts[order], rank[inverse]
    return found, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)
