"""Dark ink on a light ground, or light ink on a dark one: told from the border."""

from __future__ import annotations

__all__ = ["FRAME_SHARE", "SAMPLED_SIDE", "find_polarity", "ground_level", "invert", "is_dark_on_light", "nearly_all"]

from collections.abc import Callable
from itertools import islice

import numpy as np
import numpy.typing as npt

from toolkit.imaging.background import measure_ground

# A frame of this share of the shorter side is taken for the ground.
FRAME_SHARE = 1 / 16
# Statistics are taken from at most about this many rows and columns.
SAMPLED_SIDE = 256
# On an uneven ground only what lies this many standard deviations of its texture off says anything.
STANDS_OUT = 4
# Of a set's pictures so many are looked at, spaced evenly, of which one in so many may disagree.
LOOKED_AT = 300
ONE_STRANGER_IN = 100


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


def find_polarity(pictures: npt.NDArray[np.uint8]) -> str:
    """Tell which ink on which ground a set of pictures shows: `light-on-dark`, `dark-on-light` or `any`.

    Where nearly all agree, a picture that is the other way round is strange to whatever learnt from them, and inverted
    it is not. Photographs do not agree; colours are never inverted, so of colour pictures nothing is said.

    Args:
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`.
    """
    if pictures.ndim == 4 or not len(pictures):
        return "any"
    if nearly_all(pictures, lambda picture: is_dark_on_light(invert(picture))):
        return "light-on-dark"
    return "dark-on-light" if nearly_all(pictures, is_dark_on_light) else "any"


def nearly_all(pictures: npt.NDArray[np.uint8], holds: Callable[[npt.NDArray[np.uint8]], bool]) -> bool:
    """Say whether something holds of pictures `[N, ...]` but for one in a hundred, as far as a sample of them tells."""
    chosen = pictures[np.linspace(0, len(pictures) - 1, min(LOOKED_AT, len(pictures))).astype(np.int64)]
    most = len(chosen) // ONE_STRANGER_IN
    # Not all are counted: of photographs the first few settle it.
    return len(list(islice((picture for picture in chosen if not holds(picture)), most + 1))) <= most


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
