"""Pillow's many modes brought to plain grey or RGB bytes."""

from __future__ import annotations

__all__ = ["flatten_image", "is_deep_mode", "is_grey_mode"]


import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.imaging.pixel_values import Depth, flatten_layers, refuse_unit_scale, to_pixels

DEEP_MODES = {"I;16", "I;16B", "I;16L", "I;16N", "I"}
GREY_MODES = {"1", "L", "LA", "La"}


def is_grey_mode(mode: str) -> bool:
    """Say whether an image of this Pillow mode is flattened to grey `[H, W]`; the others become RGB `[H, W, 3]`."""
    return mode in GREY_MODES or mode in DEEP_MODES or mode == "F"


def is_deep_mode(mode: str) -> bool:
    """Say whether an image of this Pillow mode has whole numbers wider than bytes."""
    return mode in DEEP_MODES


def flatten_image(image: Image.Image, *, bits: int | None = None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Return an image's pixels without transparency, palette or extra depth.

    Numbers wider than bytes keep the upper eight of the bits that they have (see `Depth`; Pillow's own conversion would
    clip every value over 255). Transparency is laid over white, or over black where the visible pixels are mostly
    light, so that ink stays visible on its background.

    Args:
        image: of any mode.
        bits: depth of the pictures that it belongs to; None where it stands alone. Not used where it is too small.

    Returns:
        uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.

    Raises:
        DataError: numbers that are no pixels.
    """
    if image.mode in DEEP_MODES:
        return _flatten_deep(np.asarray(image), bits)
    if image.mode == "F":
        values = np.asarray(image)
        refuse_unit_scale(values, name="the image's")
        return to_pixels(values)[0], ("mode F converted to grey",)
    if image.has_transparency_data:
        return flatten_layers(np.asarray(image.convert("LA" if image.mode in GREY_MODES else "RGBA")))
    if image.mode in GREY_MODES:
        notes = () if image.mode == "L" else (f"mode {image.mode} converted to grey",)
        return np.array(image.convert("L")), notes
    notes = () if image.mode == "RGB" else (f"mode {image.mode} converted to RGB",)
    return np.array(image.convert("RGB")), notes


def _flatten_deep(values: npt.NDArray[np.integer], bits: int | None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    depth = Depth()
    depth.see(values)
    chosen = depth.bits(bits)
    pixels, _ = to_pixels(values, bits=chosen)
    said = depth.describe(chosen)
    width = 8 * values.dtype.itemsize
    return pixels, (f"{width}-bit grey whose {said}" if said else "16-bit grey scaled to 8 bits",)
