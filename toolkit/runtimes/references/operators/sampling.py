"""GridSample and AffineGrid: images read at places that another tensor names.

Shapes: N batch, C channels, D number of spatial axes, S places asked for.
"""

from __future__ import annotations

__all__: list[str] = []

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator
from toolkit.runtimes.references.operators.resizing import cubic_weights

# Operators.md, GridSample: the coefficient of its cubic mode.
CUBIC_COEFFICIENT = -0.75


@operator("GridSample")
def _grid_sample(x: Array, grid: Array, *, align_corners: int, mode: str, padding_mode: str) -> Array:
    """Sample `[N, C, *D]` at `[N, *S, D]`, whose coordinates run from -1 to 1, the last axis first; GridSample-20.

    A neighbour that lies outside is zero, the nearest place of the border, or its reflection; so says PyTorch, after
    which the operator is made. ONNX's evaluator (1.23) moves the place itself to the border, also in cubic mode. Before
    opset 20 two modes are named `bilinear` and `bicubic`; Changelog.md, GridSample-16.
    """
    sizes = x.shape[2:]
    neighbours = []
    for size, coordinates in zip(sizes, np.moveaxis(grid[..., ::-1], -1, 0), strict=True):
        places = (coordinates + 1) / 2 * (size - 1) if align_corners else ((coordinates + 1) * size - 1) / 2
        neighbours.append(_neighbours(places, mode.removeprefix("bi")))
    rows = np.moveaxis(x, 1, -1)
    batch = np.arange(len(x)).reshape(-1, *[1] * len(sizes))
    total: Any = 0
    for chosen in itertools.product(*[list(zip(*item, strict=True)) for item in neighbours]):
        weight = np.ones(grid.shape[:-1], x.dtype)
        inside = []
        for size, (index, own) in zip(sizes, chosen, strict=True):
            moved = _pad(index, size, padding_mode, align_corners=bool(align_corners))
            weight = weight * np.where((moved >= 0) & (moved < size), own, 0)
            inside.append(np.clip(moved, 0, size - 1))
        total = total + rows[(batch, *inside)] * weight[..., None]
    return np.asarray(np.moveaxis(total, -1, 1), x.dtype)


@operator("AffineGrid")
def _affine_grid(theta: Array, size: Array, *, align_corners: int) -> Array:
    """Return theta `[N, D, D + 1]` applied to an even grid of -1 to 1: `[N, *S, D]`; Operators.md, AffineGrid.

    Raises:
        ValueError: the one place of an axis is to be both corners, -1 and 1, of which the standard says nothing.
    """
    sizes = [int(length) for length in size[2:]]
    if align_corners and 1 in sizes:
        raise ValueError("AffineGrid with align_corners=1 has no value for an axis of one place")
    axes = [_even(length, align_corners=bool(align_corners)).astype(theta.dtype) for length in sizes]
    base = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes, theta.dtype)], axis=-1)
    result: Array = np.einsum("ndk,...k->n...d", theta, base)
    return result


def _even(length: int, *, align_corners: bool) -> Array:
    return np.linspace(-1, 1, length) if align_corners else (2 * np.arange(length) + 1) / length - 1


def _neighbours(places: Array, mode: str) -> tuple[Sequence[Array], Sequence[Array]]:
    """Return the whole places that count for each place, and their weights."""
    if mode == "nearest":
        return [np.rint(places).astype(np.int64)], [np.ones_like(places)]
    lowest = np.floor(places).astype(np.int64)
    indices = [lowest + offset for offset in (range(-1, 3) if mode == "cubic" else range(2))]
    distances = [np.abs(places - index).astype(places.dtype) for index in indices]
    if mode == "cubic":
        return indices, [cubic_weights(distance, CUBIC_COEFFICIENT) for distance in distances]
    return indices, [1 - distance for distance in distances]


def _pad(index: Array, size: int, mode: str, *, align_corners: bool) -> Array:
    """Move places that lie outside; with `zeros` they stay outside."""
    if mode == "zeros":
        return index
    if mode == "border":
        return np.clip(index, 0, size - 1)
    # Mirrors stand at the centres of the border's places, or at their outer edges.
    period = 2 * (size - 1) if align_corners else 2 * size
    if period == 0:
        return np.zeros_like(index)
    back = index % period
    return np.asarray(np.minimum(back, period - back if align_corners else period - 1 - back))
