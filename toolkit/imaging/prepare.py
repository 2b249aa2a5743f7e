"""From decoded pixels to exactly what a model takes, with a note of everything that was done."""

from __future__ import annotations

__all__ = ["AS_IT_COMES", "prepare_image", "require_effect"]

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.errors import UsageError
from toolkit.imaging.fit import fit_image, fit_like_mnist
from toolkit.imaging.polarity import invert, is_dark_on_light
from toolkit.imaging.settings import AUTO, PrepareSettings

AS_IT_COMES = PrepareSettings()
# By what the model takes: what is said where a picture is the other way round.
INVERTED_NOTES = {"light-on-dark": "inverted: dark on light", "dark-on-light": "inverted: light on dark"}


def prepare_image(
    pixels: npt.NDArray[np.uint8], spec: InputSpec, settings: PrepareSettings = AS_IT_COMES
) -> tuple[npt.NDArray[np.uint8], str]:
    """Bring an image to the channels, the polarity and the size that a model takes.

    An image that has all three already is returned untouched, with an empty note.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
        spec: what the model takes.
        settings: what the user wishes otherwise.

    Returns:
        uint8 of `spec.shape`, and what was done, such as `inverted: dark on light; fitted 100x80 -> 28x28`.

    Raises:
        DataError: the image is blank or of a size that the model's card does not let us change.
    """
    image, channels_note = _match_channels(pixels, spec.channels)
    image, polarity_note = _match_polarity(image, spec.polarity, settings.polarity)
    image, fit_notes = _match_size(image, spec, settings.fit)
    return image, "; ".join(filter(None, (channels_note, polarity_note, *fit_notes)))


def require_effect(settings: PrepareSettings, spec: InputSpec) -> None:
    """Refuse wishes that would change nothing for this model, or that it cannot grant.

    Raises:
        UsageError: there is such a wish.
    """
    if settings.polarity != AUTO and spec.polarity not in INVERTED_NOTES:
        raise UsageError(
            f"polarity {settings.polarity} has no effect: the model's card says {spec.polarity}, so no picture is ever "
            "inverted; leave it out, or train again with toolkit train --polarity"
        )
    if settings.fit == "mnist" and spec.channels != 1:
        raise UsageError("fit mnist places grey drawings, and this model takes colour; use stretch or none")


def _match_size(image: npt.NDArray[np.uint8], spec: InputSpec, wish: str) -> tuple[npt.NDArray[np.uint8], list[str]]:
    height, width = image.shape[:2]
    fit = spec.fit if wish == AUTO else wish
    is_fitting = (height, width) == (spec.height, spec.width)
    if is_fitting and wish in {AUTO, "none", "stretch"}:
        return image, []
    if fit == "mnist" and image.ndim == 2:
        fitted, notes = _fit_drawing(image, spec)
    else:
        fitted, notes = fit_image(image, replace(spec, fit=fit)), []
    return fitted, [*notes, f"fitted {width}x{height} -> {spec.width}x{spec.height}"]


def _fit_drawing(image: npt.NDArray[np.uint8], spec: InputSpec) -> tuple[npt.NDArray[np.uint8], list[str]]:
    is_dark = spec.polarity == "dark-on-light" or (spec.polarity not in INVERTED_NOTES and is_dark_on_light(image))
    if not is_dark:
        return fit_like_mnist(image, spec)
    fitted, notes = fit_like_mnist(invert(image), spec)
    return invert(fitted), notes


def _match_channels(pixels: npt.NDArray[np.uint8], channels: int) -> tuple[npt.NDArray[np.uint8], str]:
    if channels == 1 and pixels.ndim == 3:
        from PIL import Image  # here, because arrays of the model's own kind need no Pillow

        return np.array(Image.fromarray(pixels).convert("L")), "colour turned to grey"
    if channels == 3 and pixels.ndim == 2:
        return np.repeat(pixels[..., np.newaxis], 3, axis=2), "grey repeated as RGB"
    return pixels, ""


def _match_polarity(pixels: npt.NDArray[np.uint8], polarity: str, wish: str) -> tuple[npt.NDArray[np.uint8], str]:
    if polarity not in INVERTED_NOTES:
        return pixels, ""
    if wish == AUTO:
        is_other = is_dark_on_light(pixels if polarity == "light-on-dark" else invert(pixels))
    else:
        is_other = wish != polarity
    return (invert(pixels), INVERTED_NOTES[polarity]) if is_other else (pixels, "")
