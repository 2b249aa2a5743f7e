"""What can be told of pictures at a glance, a few numbers each, for next to nothing.

Shapes: N pictures, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["measure_pictures"]

import functools
from typing import Any, NamedTuple

import numpy as np
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
    channels = 1 if pictures.ndim == 3 else pictures.shape[3]
    masks = _masks(height, width, channels=channels)
    flat: Any = pictures.reshape(count, masks.all.size).astype(np.float32)
    num_pixels = max(1, masks.all.size)
    # Whole numbers under 2^24 (128x128 RGB has 12.6 million): float32 adds them up exactly, by one product each.
    total, frame = flat @ masks.all, flat @ masks.frame
    mean = total.astype(np.float64) / num_pixels
    square = np.einsum("np,np->n", flat, flat) / np.float64(num_pixels)
    variance = np.maximum(square - mean * mean, 0)
    return {
        "brightness": mean,
        "contrast": np.sqrt(variance),
        "frame": frame.astype(np.float64) / max(1, np.count_nonzero(masks.frame)),
        "roughness": 1
        - _neighbour_correlation(flat, masks, mean=mean, variance=variance, step=channels, row=width * channels),
    }


class _Masks(NamedTuple):
    """float32 `[pixels x channels]` each: 1 where a value counts."""

    all: npt.NDArray[np.float32]
    frame: npt.NDArray[np.float32]
    # First and last column, first and last row: they have one neighbour less.
    sides: npt.NDArray[np.float32]
    ends: npt.NDArray[np.float32]


@functools.lru_cache(maxsize=8)
def _masks(height: int, width: int, *, channels: int) -> _Masks:
    frame, sides, ends = np.zeros((3, height, width, channels), np.float32)
    frame[:FRAME_PIXELS] = frame[-FRAME_PIXELS:] = frame[:, :FRAME_PIXELS] = frame[:, -FRAME_PIXELS:] = 1
    sides[:, 0] += 1
    sides[:, -1] += 1
    ends[0] += 1
    ends[-1] += 1
    return _Masks(np.ones(frame.size, np.float32), *(mask.ravel() for mask in (frame, sides, ends)))


def _neighbour_correlation(flat: Any, masks: _Masks, *, mean: Vector, variance: Vector, step: int, row: int) -> Vector:
    """Return the correlation of values with their right and lower neighbours, from sums of products alone.

    A row's last pixel and the next row's first stand beside one another in memory; their product is taken off again.
    """
    size = flat.shape[1]
    # Pairs side by side (a row has one less than pixels), and pairs one above the other.
    pairs = (size - size // row * step) + (size - row)
    if pairs <= 0:
        return np.zeros(len(flat))
    right = np.einsum("np,np->n", flat[:, step:], flat[:, :-step])
    for channel in range(step):
        ends, starts = flat[:, row - step + channel : size - 1 : row], flat[:, row + channel :: row]
        right = right - np.einsum("np,np->n", ends[:, : starts.shape[1]], starts)
    products = right.astype(np.float64) + np.einsum("np,np->n", flat[:, row:], flat[:, :-row])
    # Every value is the left and the right, the upper and the lower of a pair, but for those at the edges.
    twice = 2 * mean * size
    sums = (twice - flat @ masks.sides) + (twice - flat @ masks.ends)
    covariance = products - mean * sums + pairs * mean * mean
    # Below a grey level of variance the products' rounding would be all that is seen.
    is_flat = variance < 1e-3
    return np.where(is_flat, 0.0, covariance / pairs / np.where(is_flat, 1.0, variance))
