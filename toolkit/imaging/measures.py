"""What can be told of pictures at a glance, a few numbers each, for next to nothing.

Shapes: N pictures, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["measure_pictures"]

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

# So many pictures at a time stay in a core's cache.
PIECE_BYTES = 1 << 18
# Pixels from each edge that count as frame.
FRAME_PIXELS = 2


def measure_pictures(pictures: npt.NDArray[np.uint8]) -> dict[str, Vector]:
    """Return four measures of every picture, float64 `[N]` each.

    `brightness`: mean of all pixels, 0 to 255. `contrast`: their standard deviation, 0 to 127.5. `frame`: mean of the
    two outermost rows and columns, 0 to 255. `roughness`: 1 minus the correlation of neighbouring pixels, 0 (smooth) to
    2; about 1 for noise, and 1 where all pixels are equal.

    Args:
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`.
    """
    size = max(1, PIECE_BYTES // max(1, pictures[:1].nbytes))
    pieces = [_measure(pictures[start : start + size]) for start in range(0, max(1, len(pictures)), size)]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _measure(pictures: npt.NDArray[np.uint8]) -> dict[str, Vector]:
    count, height, width = pictures.shape[:3]
    # Channels become columns: a pixel's right neighbour is then as many columns further as there are channels.
    channels = 1 if pictures.ndim == 3 else pictures.shape[3]
    grid: Any = pictures.reshape(count, height, width * channels).astype(np.float32)
    flat = grid.reshape(count, height * width * channels)
    num_pixels = max(1, flat.shape[1])
    mean = flat.sum(axis=1, dtype=np.float64) / num_pixels
    square = np.einsum("np,np->n", flat, flat) / np.float64(num_pixels)
    variance = np.maximum(square - mean * mean, 0)
    return {
        "brightness": mean,
        "contrast": np.sqrt(variance),
        "frame": _frame(grid, channels),
        "roughness": 1 - _neighbour_correlation(grid, channels, mean, variance),
    }


def _frame(grid: Any, channels: int) -> Vector:
    height, width = grid.shape[1], grid.shape[2]
    down, right = min(FRAME_PIXELS, height), min(FRAME_PIXELS * channels, width)
    if height <= 2 * down or width <= 2 * right:
        return np.asarray(grid.mean(axis=(1, 2), dtype=np.float64))
    parts = (grid[:, :down], grid[:, -down:], grid[:, down:-down, :right], grid[:, down:-down, -right:])
    total = sum(part.sum(axis=(1, 2), dtype=np.float64) for part in parts)
    return np.asarray(total / (height * width - (height - 2 * down) * (width - 2 * right)))


def _neighbour_correlation(grid: Any, channels: int, mean: Vector, variance: Vector) -> Vector:
    """Return the correlation of pixels with their right and lower neighbours, from sums of products alone."""
    covariance, count = np.zeros(len(grid)), 0
    for one, other in ((grid[:, 1:], grid[:, :-1]), (grid[:, :, channels:], grid[:, :, :-channels])):
        pairs = one.shape[1] * one.shape[2]
        if not pairs:
            continue
        products = np.einsum("nij,nij->n", one, other).astype(np.float64)
        sums = one.sum(axis=(1, 2), dtype=np.float64) + other.sum(axis=(1, 2), dtype=np.float64)
        covariance += products - mean * sums + pairs * mean * mean
        count += pairs
    # Below a grey level of variance the products' rounding would be all that is seen.
    is_flat = variance < 1e-3
    return np.where(is_flat, 0.0, covariance / max(1, count) / np.where(is_flat, 1.0, variance))
