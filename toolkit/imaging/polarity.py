"""Dark ink on a light background, or light ink on a dark one: told from what stands out from it."""

from __future__ import annotations

__all__ = ["choose_sample", "find_polarity", "invert", "is_dark_on_light", "nearly_all"]

from collections.abc import Callable
from itertools import islice

import numpy as np
import numpy.typing as npt

from toolkit.imaging.background import frame_median, measure_background, sample_grey

# On an uneven background only what lies this many standard deviations of its texture off says anything.
STANDS_OUT = 4
# Of a set's pictures so many are looked at, spaced evenly, of which one in so many may disagree.
LOOKED_AT = 300
ONE_STRANGER_IN = 100


def is_dark_on_light(pixels: npt.NDArray[np.uint8]) -> bool:
    """Tell whether what stands out from the background is darker than it.

    The background is the median of the image's frame, or a sloping surface where the picture is lit unevenly; the
    answer is whether the pixels under it weigh more than those over it. An image without contrast is neither; the
    light-on-dark case is `is_dark_on_light(invert(pixels))`.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
    """
    grey = sample_grey(pixels)
    uneven = measure_background(grey)
    if uneven is not None:
        difference = grey - uneven.surface
        difference[np.abs(difference) < STANDS_OUT * uneven.noise] = 0
    else:
        level = frame_median(grey)
        if level == 0:  # nothing is darker than black
            return False
        difference = grey.astype(np.float32) - level
    # By weight and not by number: smooth edges and shadows are many pixels that hardly differ.
    return bool(-difference[difference < 0].sum() > difference[difference > 0].sum())


def find_polarity(pictures: npt.NDArray[np.uint8]) -> str:
    """Tell which ink on which background a set of pictures shows: `light-on-dark`, `dark-on-light` or `any`.

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


def choose_sample(count: int) -> npt.NDArray[np.int64]:
    """Return which of so many pictures are looked at, spaced evenly, int64 `[<= 300]`; a sample's sample is itself."""
    return np.linspace(0, count - 1, min(LOOKED_AT, count)).astype(np.int64)


def nearly_all(pictures: npt.NDArray[np.uint8], holds: Callable[[npt.NDArray[np.uint8]], bool]) -> bool:
    """Say whether something holds of pictures `[N, ...]` but for one in a hundred, as far as a sample of them tells."""
    chosen = pictures[choose_sample(len(pictures))]
    most = len(chosen) // ONE_STRANGER_IN
    # Not all are counted: of photographs the first few settle it.
    return len(list(islice((picture for picture in chosen if not holds(picture)), most + 1))) <= most


def invert(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return 255 minus every pixel; applied twice, it changes nothing."""
    return np.invert(pixels)
