"""Operators of old opsets that move elements: joining, splitting, repeating, reshaping."""

from __future__ import annotations

__all__: list[str] = []

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


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
