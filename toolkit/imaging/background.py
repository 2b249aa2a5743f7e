"""The background that a picture's ink lies on: even, or lit unevenly as paper in a photograph is."""

from __future__ import annotations

__all__ = [
    "FRAME_SHARE",
    "SAMPLED_SIDE",
    "Background",
    "background_level",
    "frame_median",
    "measure_background",
    "sample_grey",
]

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# A frame of this share of the shorter side is taken for the background.
FRAME_SHARE = 1 / 16
# Statistics are taken from at most about this many rows and columns.
SAMPLED_SIDE = 256
# An uneven background is measured in this many blocks a side; ink fills few of them by more than half.
BLOCKS = 16
# Smaller pictures are no photographs.
LEAST_SIDE = 64
# A background that varies by fewer grey levels is called even.
EVEN_LEVELS = 16
# Iterations of the robust fit, and the share of blocks that must follow it for it to be believed.
ROUNDS = 12
LEAST_FOLLOWING = 0.6
# Grey levels from the surface within which a block follows it, however smooth the paper.
LEAST_TOLERANCE = 3.0
# From the median of absolute deviations to the standard deviation of a normal distribution.
NORMAL = 1.4826


@dataclass(frozen=True, slots=True)
class Background:
    """An uneven background.

    Attributes:
        surface: float32 `[H, W]`, the brightness of the background under every pixel.
        noise: standard deviation of the paper's texture around it, in grey levels.
    """

    surface: npt.NDArray[np.float32]
    noise: float


def measure_background(grey: npt.NDArray[np.uint8]) -> Background | None:
    """Return the background of a picture that is lit unevenly; None where it is even, or nothing can be said.

    The medians of 16x16 blocks are fitted by a second-degree surface, again and again without the blocks that stand out
    from it: those hold ink. Ink may be lighter or darker than the background.

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
    # The blocks' medians lie closer to the surface than single pixels do: the texture is measured on those.
    residual = grey - surface
    noise = NORMAL * float(np.median(np.abs(residual - np.median(residual))))
    return Background(surface=surface.astype(np.float32), noise=max(noise, spread))


def background_level(pixels: npt.NDArray[np.uint8]) -> int:
    """Return the brightness of the background, 0 to 255: the median of the image's frame."""
    return int(frame_median(sample_grey(pixels)))


def sample_grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return every n-th row and column of an image, grey `[h, w]`, so that a large one costs no more than a small one.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
    """
    step = max(1, min(pixels.shape[:2]) // SAMPLED_SIDE)
    sampled = pixels[::step, ::step]
    return sampled if sampled.ndim == 2 else sampled.mean(axis=2).astype(np.uint8)


def frame_median(grey: npt.NDArray[np.uint8]) -> float:
    """Return the median of a grey image's frame, uint8 `[H, W]`."""
    width = max(1, int(min(grey.shape) * FRAME_SHARE))
    parts = (grey[:width], grey[-width:], grey[width:-width, :width], grey[width:-width, -width:])
    if not any(map(np.count_nonzero, parts)):  # several times as fast as any() where a part is small
        return 0.0  # as of nearly every digit: a median would be the longest part of preparing it
    return float(np.median(np.concatenate([part.ravel() for part in parts])))


def _block_medians(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    high, wide = (side // BLOCKS for side in grey.shape)
    blocks = grey[: BLOCKS * high, : BLOCKS * wide].reshape(BLOCKS, high, BLOCKS, wide)
    return np.asarray(np.median(blocks.transpose(0, 2, 1, 3).reshape(BLOCKS, BLOCKS, -1), axis=2))


def _fit(
    terms: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], float]:
    """Return the surface's weights, which values follow it, and how far those lie from it."""
    # Begun with the level of most blocks: an even background is found at once, whatever the ink is like.
    distance: npt.NDArray[Any] = _distance(values, np.median(values))
    follows: npt.NDArray[np.bool_] = distance <= max(LEAST_TOLERANCE, 2.5 * NORMAL * float(np.median(distance)))
    weights: npt.NDArray[Any] = np.zeros(terms.shape[1])
    spread = 0.0
    for _ in range(ROUNDS):
        weights = np.linalg.lstsq(terms[follows], values[follows], rcond=None)[0]
        distance = _distance(values, terms @ weights)
        spread = NORMAL * float(np.median(distance[follows]))
        now = distance <= max(LEAST_TOLERANCE, 2.5 * spread)
        # Through too few blocks any surface can be laid; the same blocks would give the same one.
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
