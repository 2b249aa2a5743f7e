"""Operators that move elements: joining, splitting, repeating and reshaping in old opsets; by index in all."""

from __future__ import annotations

import numpy as np
from onnx.reference.ops.op_scatter_elements import ScatterElements

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


# Changelog.md, Scatter-9 is ScatterElements-11 by another name; the evaluator (1.23) does not know it.
operator("Scatter")(ScatterElements)


@operator("OneHot", since=11)
def _one_hot_11(indices: Array, depth: Array, values: Array, *, axis: int) -> Array:
    """Put the on value where an index points, counted from the end where it is negative; Operators.md, OneHot.

    `depth` is a scalar or one number in a list. An index outside -depth to depth - 1 points nowhere.
    """
    size = int(np.asarray(depth).item())
    whole = indices.astype(np.int64)
    return _one_hot(np.where(whole < 0, whole + size, whole), size, values=values, axis=axis)


@operator("OneHot", before=11)
def _one_hot_9(indices: Array, depth: Array, values: Array, *, axis: int) -> Array:
    """As in opset 11, but a negative index points nowhere; Changelog.md, OneHot-9."""
    return _one_hot(indices.astype(np.int64), int(np.asarray(depth).item()), values=values, axis=axis)


def _one_hot(indices: Array, size: int, *, values: Array, axis: int) -> Array:
    is_on = indices[..., None] == np.arange(size)
    return np.moveaxis(np.where(is_on, values[1], values[0]), -1, axis)


@operator("GatherElements")
def _gather_elements(data: Array, indices: Array, *, axis: int) -> Array:
    """Return data[.., indices[i], ..] at each place i, of which there may be fewer than data has; GatherElements-13."""
    rows = data[tuple(slice(None if place == axis % data.ndim else size) for place, size in enumerate(indices.shape))]
    return np.take_along_axis(rows, np.where(indices < 0, indices + data.shape[axis], indices), axis)


@operator("Unique")
def _unique(x: Array, *, axis: int | None, sorted: int) -> tuple[Array, ...]:  # noqa: A002 - the attribute's name
    """Return the different numbers or slices, their first places, each one's number, the counts; Operators.md, Unique.

    Unsorted, they stand in the order in which they come first.
    """
    values = x.reshape(-1) if axis is None else x
    along = axis or 0
    found, first, inverse, counts = np.unique(
        values, return_index=True, return_inverse=True, return_counts=True, axis=along
    )
    order = np.arange(len(first)) if sorted else np.argsort(first)
    numbers = np.argsort(order)[inverse.reshape(-1)]
    return np.take(found, order, axis=along), *(
        item.astype(np.int64) for item in (first[order], numbers, counts[order])
    )


@operator("CumSum")
def _cum_sum(x: Array, axis: Array, *, exclusive: int, reverse: int) -> Array:
    """Sum up along an axis, which one number in a list names too; Operators.md, CumSum.

    The text wants a scalar; ONNX Runtime takes the list, and so do files.
    """
    rows = np.moveaxis(x, int(np.asarray(axis).item()), 0)
    rows = rows[::-1] if reverse else rows
    sums = np.cumsum(rows, axis=0, dtype=x.dtype)
    if exclusive:
        sums = np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])
    return np.moveaxis(sums[::-1] if reverse else sums, 0, int(np.asarray(axis).item()))


@operator("Pad", since=11)
def _pad_11(
    data: Array, pads: Array, constant_value: Array | None = None, axes: Array | None = None, *, mode: str
) -> Array:
    """Pad every axis, or since opset 18 those of `axes`; what is negative is cut off first; Operators.md, Pad."""
    chosen = range(data.ndim) if axes is None else [int(axis) for axis in axes]
    widths = np.zeros((data.ndim, 2), np.int64)
    widths[list(chosen)] = np.asarray(pads, np.int64).reshape(2, -1).T
    cut = np.maximum(-widths, 0)
    kept = tuple(map(slice, cut[:, 0], data.shape - cut[:, 1]))
    wider = np.maximum(widths, 0)
    if mode != "constant":
        return np.pad(data[kept], wider, mode=mode)  # type: ignore[call-overload,no-any-return]  # one of NumPy's own
    filling = 0 if constant_value is None else np.asarray(constant_value).item()
    return np.pad(data[kept], wider, constant_values=filling).astype(data.dtype)


@operator("Pad", before=11)
def _pad_1(
    data: Array, *, mode: str, value: float, pads: list[int] | None = None, paddings: list[int] | None = None
) -> Array:
    """As in opset 11, the widths and the value attributes; Changelog.md, Pad-1 (where they are paddings) and Pad-2."""
    return _pad_11(data, np.array(pads if paddings is None else paddings), np.array(value), mode=mode)
