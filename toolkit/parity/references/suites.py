"""The images of a parity check: test images, noise, and special ones on which careless code fails."""

from __future__ import annotations

__all__ = ["make_suites", "special_images", "spread_indices"]

import numpy as np
from numpy.typing import NDArray

NOISE_COUNT = 256
NOISE_SEED = 20_260_101


def make_suites(test: NDArray[np.uint8], *, sample: int | None = None) -> dict[str, NDArray[np.uint8]]:
    """Return the test images (all, or evenly spaced ones), seeded uniform noise and the special images, by name.

    Each is uint8 `[N, H, W]` or `[N, H, W, 3]`, and has a bound of its own.
    """
    chosen = test[spread_indices(len(test), sample)] if sample is not None else test
    shape = test.shape[1:]
    noise = np.random.default_rng(NOISE_SEED).integers(0, 256, (NOISE_COUNT, *shape), np.uint8)
    return {"test": chosen, "noise": noise, "special": special_images(shape)}


def spread_indices(count: int, sample: int) -> NDArray[np.int64]:
    """Return `sample` evenly spaced indices into `count` images, all of them where there are no more."""
    return np.linspace(0, count - 1, min(sample, count)).astype(np.int64)


def special_images(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return black, white, mid grey, one bright pixel (corners and middle), a ramp and a checkerboard."""
    height, width = shape[:2]
    flat = [np.full(shape, value, np.uint8) for value in (0, 255, 128)]
    dots = []
    for row, column in ((0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (height // 2, width // 2)):
        dot = np.zeros(shape, np.uint8)
        dot[row, column] = 255
        dots.append(dot)
    rows, columns = np.indices((height, width))
    patterns = [(columns * 255 // max(1, width - 1)).astype(np.uint8), ((rows + columns) % 2 * 255).astype(np.uint8)]
    if len(shape) == 3:
        patterns = [np.repeat(pattern[:, :, None], shape[2], axis=2) for pattern in patterns]
    return np.stack([*flat, *dots, *patterns])
