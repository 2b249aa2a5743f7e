"""Pillow's many modes brought to plain grey or RGB bytes."""

from __future__ import annotations

__all__ = ["flatten_image", "flatten_layers", "is_grey_mode"]

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

SIXTEEN_BIT_MODES = {"I;16", "I;16B", "I;16L", "I;16N", "I"}
GREY_MODES = {"1", "L", "LA", "La"}
OPAQUE = 255
MIDDLE = 127.5


def is_grey_mode(mode: str) -> bool:
    """Say whether an image of this Pillow mode is flattened to grey `[H, W]`; the others become RGB `[H, W, 3]`."""
    return mode in GREY_MODES or mode in SIXTEEN_BIT_MODES


def flatten_image(image: Image.Image) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Return an image's pixels without transparency, palette or extra depth.

    16-bit grey keeps its upper byte (Pillow's own conversion would clip every value over 255). Transparency is laid
    over white, or over black where the visible pixels are mostly light, so that ink stays visible on its ground.

    Returns:
        uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.
    """
    if image.mode in SIXTEEN_BIT_MODES:
        return (np.asarray(image) >> 8).astype(np.uint8), ("16-bit grey scaled to 8 bits",)
    if image.has_transparency_data:
        return _flatten_transparency(image)
    if image.mode in GREY_MODES:
        notes = () if image.mode == "L" else (f"mode {image.mode} converted to grey",)
        return np.array(image.convert("L")), notes
    notes = () if image.mode == "RGB" else (f"mode {image.mode} converted to RGB",)
    return np.array(image.convert("RGB")), notes


def _flatten_transparency(image: Image.Image) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    return flatten_layers(np.asarray(image.convert("LA" if image.mode in GREY_MODES else "RGBA")))


def flatten_layers(layers: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Lay pixels with an alpha channel over a ground, as `flatten_image` does.

    Args:
        layers: uint8 `[H, W, 2]` (grey and alpha) or `[H, W, 4]` (RGB and alpha).

    Returns:
        uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.
    """
    is_grey = layers.shape[-1] == 2
    colour, alpha = layers[..., :-1], layers[..., -1:]
    if alpha.min() == OPAQUE:
        return np.ascontiguousarray(colour[..., 0] if is_grey else colour), ()
    ground = _choose_ground(colour, alpha)
    mixed = (colour * alpha.astype(np.uint32) + ground * (OPAQUE - alpha.astype(np.uint32)) + OPAQUE // 2) // OPAQUE
    pixels = mixed.astype(np.uint8)
    word = "black" if ground == 0 else "white"
    return np.ascontiguousarray(pixels[..., 0] if is_grey else pixels), (f"transparency laid over {word}",)


def _choose_ground(colour: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> int:
    visible = int(alpha.sum(dtype=np.int64)) * colour.shape[-1]
    brightness = int((colour * alpha.astype(np.uint32)).sum(dtype=np.int64)) / visible if visible else 0.0
    return 0 if brightness > MIDDLE else 255
