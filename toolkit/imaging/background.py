"""The ground that a picture's ink lies on: even, or lit unevenly as paper in a photograph is."""

from __future__ import annotations

__all__ = ["Ground", "measure_ground"]

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# The ground is measured in this many blocks a side; ink fills few of them by more than half.
BLOCKS = 16
# Smaller pictures are no photographs.
LEAST_SIDE = 64
# A ground that varies by fewer grey levels is called even.
EVEN_LEVELS = 16
# Iterations of the robust fit, and the share of blocks that must follow it for it to be believed.
ROUNDS = 12
LEAST_FOLLOWING = 0.6
LEAST_TOLERANCE = 3.0
# From the median of absolute deviations to the standard deviation of a normal distribution.
NORMAL = 1.4826


@dataclass(frozen=True, slots=True)
class Ground:
    """An uneven ground.

    Attributes:
        surface: float32 `[H, W]`, the brightness of the ground under every pixel.
        noise: standard deviation of the paper's texture around it, in grey levels.
    """

    surface: npt.NDArray[np.float32]
    noise: float


def measure_ground(grey: npt.NDArray[np.uint8]) -> Ground | None:
    """Return the ground of a picture that is lit unevenly; None where it is even, or nothing can be said.

    The medians of 16x16 blocks are fitted by a second-degree surface, again and again without the blocks that stand out
    from it: those hold ink. Ink may be lighter or darker than the ground.

    Args:
        grey: uint8 `[H, W]`.
    """
    height, width = grey.shape
    if min(height, width) < LEAST_SIDE:
        return None
    medians = _block_medians(grey)
    terms = _terms(*(np.linspace(-1, 1, BLOCKS) * (1 - 1 / BLOCKS) for _ in range(2)))
    weights, follows, spread = _fit(terms.reshape(-1, terms.shape[-1]), medians.ravel())
    if follows.mean() < LEAST_FOLLOWING:
        return None
    surface = _terms(_centres(height), _centres(width)) @ weights
    if np.ptp(surface) <= EVEN_LEVELS:
        return None
    residual = grey - surface
    noise = NORMAL * float(np.median(np.abs(residual - np.median(residual))))
    return Ground(surface=surface.astype(np.float32), noise=max(noise, spread))


def _block_medians(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    high, wide = (side // BLOCKS for side in grey.shape)
    blocks = grey[: BLOCKS * high, : BLOCKS * wide].reshape(BLOCKS, high, BLOCKS, wide)
    return np.asarray(np.median(blocks.transpose(0, 2, 1, 3).reshape(BLOCKS, BLOCKS, -1), axis=2))


def _fit(
    terms: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], float]:
    """Return the surface's weights, which values follow it, and how far those lie from it."""
    # Begun with the level of most blocks: an even ground is found at once, whatever the ink is like.
    distance: npt.NDArray[Any] = _distance(values, np.median(values))
    follows: npt.NDArray[np.bool_] = distance <= max(LEAST_TOLERANCE, 2.5 * NORMAL * float(np.median(distance)))
    weights: npt.NDArray[Any] = np.zeros(terms.shape[1])
    spread = 0.0
    for _ in range(ROUNDS):
        weights = np.linalg.lstsq(terms[follows], values[follows], rcond=None)[0]
        distance = _distance(values, terms @ weights)
        spread = NORMAL * float(np.median(distance[follows]))
        now = distance <= max(LEAST_TOLERANCE, 2.5 * spread)
        if now.sum() <= 2 * terms.shape[1] or (now == follows).all():
            break
        follows = now
    return weights, follows, spread


def _distance(values: npt.NDArray[np.float64], expected: Any) -> npt.NDArray[np.float64]:
    return np.asarray(np.abs(values - expected), np.float64)


def _terms(rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 1, y, x, y², xy, x² at every place, `[len(rows), len(columns), 6]`."""
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], axis=-1)


def _centres(count: int) -> npt.NDArray[np.float64]:
    """Return the centres of pixels, from -1 to 1 over the picture."""
    return (2 * np.arange(count) + 1) / count - 1
