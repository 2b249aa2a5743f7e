"""Dark ink on a light ground, or light ink on a dark one: told from the border."""

from __future__ import annotations

__all__ = ["FRAME_SHARE", "SAMPLED_SIDE", "ground_level", "invert", "is_dark_on_light"]

from typing import TYPE_CHECKING

import numpy as np

from toolkit.imaging.ground import measure_ground

if TYPE_CHECKING:
    import numpy.typing as npt

# A frame of this share of the shorter side is taken for the ground.
FRAME_SHARE = 1 / 16
# Statistics are taken from at most about this many rows and columns.
SAMPLED_SIDE = 256
# On an uneven ground only what lies this many standard deviations of its texture off says anything.
STANDS_OUT = 4


def is_dark_on_light(pixels: npt.NDArray[np.uint8]) -> bool:
    """Tell whether what stands out from the ground is darker than it.

    The ground is the median of the image's frame, or a sloping surface where the picture is lit unevenly; the answer is
    whether the pixels under it weigh more than those over it. An image without contrast is neither; the light-on-dark
    case is `is_dark_on_light(invert(pixels))`.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
    """
    grey = _sample(pixels)
    uneven = measure_ground(grey)
    if uneven is not None:
        difference = grey - uneven.surface
        difference[np.abs(difference) < STANDS_OUT * uneven.noise] = 0
    else:
        ground = _frame_median(grey)
        if ground == 0:
            return False
        difference = grey.astype(np.float32) - ground
    return bool(-difference[difference < 0].sum() > difference[difference > 0].sum())


def ground_level(pixels: npt.NDArray[np.uint8]) -> int:
    """Return the brightness of the ground, 0 to 255: the median of the image's frame."""
    return int(_frame_median(_sample(pixels)))


def invert(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return 255 minus every pixel; applied twice, it changes nothing."""
    return np.invert(pixels)


def _sample(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    step = max(1, min(pixels.shape[:2]) // SAMPLED_SIDE)
    sampled = pixels[::step, ::step]
    return sampled if sampled.ndim == 2 else sampled.mean(axis=2).astype(np.uint8)


def _frame_median(grey: npt.NDArray[np.uint8]) -> float:
    width = max(1, int(min(grey.shape) * FRAME_SHARE))
    parts = (grey[:width], grey[-width:], grey[width:-width, :width], grey[width:-width, -width:])
    if not any(part.any() for part in parts):
        return 0.0
    return float(np.median(np.concatenate([part.ravel() for part in parts])))
