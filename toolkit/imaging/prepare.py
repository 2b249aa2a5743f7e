"""From decoded pixels to exactly what a model takes, with a note of everything that was done."""

from __future__ import annotations

__all__ = ["prepare_image"]

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from toolkit.imaging.fit import fit_image
from toolkit.imaging.polarity import invert, is_dark_on_light

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.card import InputSpec


def prepare_image(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> tuple[npt.NDArray[np.uint8], str]:
    """Bring an image to the channels, the polarity and the size that a model takes.

    An image that has all three already is returned untouched, with an empty note.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
        spec: what the model takes.

    Returns:
        uint8 of `spec.shape`, and what was done, such as `inverted: dark on light; fitted 100x80 -> 28x28`.

    Raises:
        DataError: the image is blank or of a size that the model's card does not let us change.
    """
    notes = []
    image, note = _match_channels(pixels, spec.channels)
    notes.append(note)
    image, note = _match_polarity(image, spec.polarity)
    notes.append(note)
    height, width = image.shape[:2]
    fitted = fit_image(image, spec)
    if fitted is not image:
        notes.append(f"fitted {width}x{height} -> {spec.width}x{spec.height}")
    return fitted, "; ".join(filter(None, notes))


def _match_channels(pixels: npt.NDArray[np.uint8], channels: int) -> tuple[npt.NDArray[np.uint8], str]:
    if channels == 1 and pixels.ndim == 3:
        return np.array(Image.fromarray(pixels).convert("L")), "colour turned to grey"
    if channels == 3 and pixels.ndim == 2:
        return np.repeat(pixels[..., np.newaxis], 3, axis=2), "grey repeated as RGB"
    return pixels, ""


def _match_polarity(pixels: npt.NDArray[np.uint8], polarity: str) -> tuple[npt.NDArray[np.uint8], str]:
    if polarity == "light-on-dark" and is_dark_on_light(pixels):
        return invert(pixels), "inverted: dark on light"
    if polarity == "dark-on-light" and is_dark_on_light(invert(pixels)):
        return invert(pixels), "inverted: light on dark"
    return pixels, ""
