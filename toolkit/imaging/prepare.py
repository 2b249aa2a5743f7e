"""From decoded pixels to exactly what a model takes, with a note of everything that was done.

Many pictures of one size are brought at once: those that need nothing cost next to nothing.

Shapes: N pictures, H rows, W columns, M <= N that can be had.
"""

from __future__ import annotations

__all__ = ["AS_IT_COMES", "PreparedBatch", "prepare_batch", "prepare_image", "require_effect"]

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.errors import DataError, UsageError
from toolkit.imaging.background import FRAME_SHARE, SAMPLED_SIDE
from toolkit.imaging.fit import fit_image, fit_like_mnist
from toolkit.imaging.pixel_values import strips
from toolkit.imaging.polarity import invert, is_dark_on_light
from toolkit.imaging.settings import AUTO, PrepareSettings

AS_IT_COMES = PrepareSettings()
# By what the model takes: what is said where a picture is the other way round.
INVERTED_NOTES = {"light-on-dark": "inverted: dark on light", "dark-on-light": "inverted: light on dark"}


def prepare_image(
    pixels: npt.NDArray[np.uint8], spec: InputSpec, *, settings: PrepareSettings = AS_IT_COMES
) -> tuple[npt.NDArray[np.uint8], str]:
    """Bring an image to the channels, the polarity and the size that a model takes.

    An image that has all three already is returned untouched, with an empty note.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`.
        spec: what the model takes.
        settings: what the user wishes otherwise.

    Returns:
        uint8 of `spec.shape`, and what was done, such as `inverted: dark on light; fitted 80x100 -> 28x28`: sizes are
        told as height x width, here and wherever two numbers stand for one.

    Raises:
        DataError: the image is blank or of a size that the model's card does not let us change.
    """
    image, channels_note = _match_channels(pixels, spec.channels)
    image, polarity_note = _match_polarity(image, spec.polarity, wish=settings.polarity)
    image, fit_notes = _match_size(image, spec, wish=settings.fit)
    return image, "; ".join(filter(None, (channels_note, polarity_note, *fit_notes)))


class PreparedBatch(NamedTuple):
    """Pictures as a model takes them.

    Attributes:
        images: uint8 `[M, *spec.shape]`; the pictures given themselves where none needed anything.
        places: int64 `[M]`, the place of each among the pictures given, rising.
        messages: by place: what was done to a picture, or why it cannot be had; those without a message are left out.
    """

    images: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    messages: dict[int, str]


def prepare_batch(
    pictures: npt.NDArray[np.uint8], spec: InputSpec, *, settings: PrepareSettings = AS_IT_COMES
) -> PreparedBatch:
    """Do with every picture what `prepare_image` does, to the byte.

    Args:
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        spec: what the model takes.
        settings: what the user wishes otherwise.
    """
    todo = np.flatnonzero(~_need_nothing(pictures, spec, settings=settings))
    places = np.arange(len(pictures))
    if not len(todo):
        return PreparedBatch(pictures, places, {})
    images = np.empty((len(pictures), *spec.shape), np.uint8)
    if len(todo) < len(pictures):
        images[:] = pictures
    messages, is_lost = {}, np.zeros(len(pictures), bool)
    for place in todo.tolist():
        try:
            images[place], note = prepare_image(pictures[place], spec, settings=settings)
        except DataError as error:
            is_lost[place], note = True, " ".join(str(error).split())
        if note:
            messages[place] = note
    return PreparedBatch(images[~is_lost], places[~is_lost], messages)


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


def _match_channels(pixels: npt.NDArray[np.uint8], channels: int) -> tuple[npt.NDArray[np.uint8], str]:
    if channels == 1 and pixels.ndim == 3:
        return _turn_grey(pixels), "colour turned to grey"
    if channels == 3 and pixels.ndim == 2:
        return np.repeat(pixels[..., np.newaxis], 3, axis=2), "grey repeated as RGB"
    return pixels, ""


def _turn_grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return colours as Pillow weighs them, a strip at a time: it keeps four bytes for three."""
    from PIL import Image  # here, because arrays of the model's own kind need no Pillow

    grey = np.empty(pixels.shape[:2], np.uint8)
    for rows in strips(pixels.shape):
        grey[rows] = np.asarray(Image.fromarray(pixels[rows]).convert("L"))
    return grey


def _match_polarity(pixels: npt.NDArray[np.uint8], polarity: str, *, wish: str) -> tuple[npt.NDArray[np.uint8], str]:
    if polarity not in INVERTED_NOTES:
        return pixels, ""
    if wish == AUTO:
        is_other = is_dark_on_light(pixels if polarity == "light-on-dark" else invert(pixels))
    else:
        is_other = wish != polarity
    return (invert(pixels), INVERTED_NOTES[polarity]) if is_other else (pixels, "")


def _match_size(image: npt.NDArray[np.uint8], spec: InputSpec, *, wish: str) -> tuple[npt.NDArray[np.uint8], list[str]]:
    height, width = image.shape[:2]
    fit = spec.fit if wish == AUTO else wish
    is_fitting = (height, width) == (spec.height, spec.width)
    if is_fitting and wish in {AUTO, "none", "stretch"}:
        return image, []
    if fit == "mnist" and image.ndim == 2:
        fitted, notes = _fit_drawing(image, spec)
    else:
        fitted, notes = fit_image(image, replace(spec, fit=fit)), []
    return fitted, [*notes, f"fitted {height}x{width} -> {spec.height}x{spec.width}"]


def _fit_drawing(image: npt.NDArray[np.uint8], spec: InputSpec) -> tuple[npt.NDArray[np.uint8], list[str]]:
    is_dark = spec.polarity == "dark-on-light" or (spec.polarity not in INVERTED_NOTES and is_dark_on_light(image))
    if not is_dark:
        return fit_like_mnist(image, spec)
    fitted, notes = fit_like_mnist(invert(image), spec)
    return invert(fitted), notes


def _need_nothing(
    pictures: npt.NDArray[np.uint8], spec: InputSpec, *, settings: PrepareSettings
) -> npt.NDArray[np.bool_]:
    """Tell which pictures surely stay as they are; of the others `prepare_image` finds out."""
    none, every = np.zeros(len(pictures), bool), np.ones(len(pictures), bool)
    if pictures.shape[1:] != spec.shape or settings.fit == "mnist":
        return none
    if spec.polarity not in {"light-on-dark", "dark-on-light"} or settings.polarity == spec.polarity:
        return every
    is_small = max(spec.height, spec.width) < SAMPLED_SIDE
    if settings.polarity != AUTO or spec.polarity != "light-on-dark" or spec.channels != 1 or not is_small:
        return none
    return _has_black_frame(pictures)


def _has_black_frame(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Tell which pictures have more black than not in their frame, so that its median is 0: light on dark."""
    height, width = pictures.shape[1:]
    edge = max(1, int(min(height, width) * FRAME_SHARE))
    inner = (height - 2 * edge) * (width - 2 * edge) if min(height, width) > 2 * edge else 0
    if not inner:
        return np.zeros(len(pictures), bool)
    parts = (
        pictures[:, :edge],
        pictures[:, -edge:],
        pictures[:, edge:-edge, :edge],
        pictures[:, edge:-edge, -edge:],
    )
    lit = sum(np.count_nonzero(part, axis=(1, 2)) for part in parts)
    return np.asarray(2 * lit < height * width - inner)
