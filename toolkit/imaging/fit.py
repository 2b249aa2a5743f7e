"""A picture of any size brought to the model's."""

from __future__ import annotations

__all__ = ["fit_image"]

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from toolkit.errors import DataError, ModelError
from toolkit.imaging.polarity import ground_level

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.card import InputSpec

# MNIST: "size normalized to fit in a 20x20 pixel box ... centered in a 28x28 image by the center of mass" (LeCun).
MNIST_BOX_SHARE = 20 / 28
# Paler than this share of the strongest ink is noise of the ground, not ink.
INK_SHARE = 0.2


def fit_image(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Bring an image to the model's height and width; one that has them is returned untouched.

    `mnist`: the ground is taken off, the ink's bounding box is scaled until its longer side is 20/28 of the image's
    shorter one, and its centre of mass is put in the centre. `stretch`: the whole picture is resized.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`, light ink on a dark ground where `spec.fit` is `mnist`.
        spec: what the model takes.

    Returns:
        uint8 `[spec.height, spec.width]`, with a last axis of 3 where the image has one.

    Raises:
        DataError: another size where `spec.fit` is `none`, or no ink to fit by.
        ModelError: `spec.fit` is unknown.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return pixels
    if spec.fit == "none":
        raise DataError(f"the image is {width}x{height}; the model takes exactly {spec.width}x{spec.height}")
    if spec.fit == "mnist" and pixels.ndim == 2:
        return _fit_like_mnist(pixels, spec)
    if spec.fit == "stretch":
        return _resize(pixels, width=spec.width, height=spec.height)
    raise ModelError(
        f"the card asks for fit {spec.fit!r} of {spec.channels} channels; known are mnist (grey), stretch, none"
    )


def _fit_like_mnist(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.uint8]:
    ink = _crop_to_ink(pixels)
    box = max(1, round(min(spec.height, spec.width) * MNIST_BOX_SHARE))
    scale = box / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    ink = _resize(ink, width=width, height=height)
    canvas = np.zeros((spec.height, spec.width), np.uint8)
    top, left = (_offset(ink.sum(axis=1 - axis, dtype=np.float64), side=canvas.shape[axis]) for axis in (0, 1))
    canvas[top : top + height, left : left + width] = ink
    return canvas


def _crop_to_ink(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    ground = ground_level(pixels)
    strongest = int(pixels.max()) - ground
    if strongest <= 0:
        raise DataError("the image is blank: nothing stands out from its ground")
    is_ink = pixels > ground + INK_SHARE * strongest
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    cropped = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    ink: npt.NDArray[np.uint8] = np.rint(np.clip(cropped - ground, 0, None) * (255 / strongest)).astype(np.uint8)
    return ink


def _offset(mass: npt.NDArray[np.float64], *, side: int) -> int:
    """Return where a strip begins so that its centre of mass is on pixel side / 2, without leaving the canvas."""
    # MNIST's own images have it there: the mean over 2,000 of them is pixel (13.99, 14.01) of 28.
    centre = float((mass * np.arange(mass.size)).sum() / mass.sum()) if mass.any() else mass.size / 2
    return min(max(round(side / 2 - centre), 0), side - mass.size)


def _resize(pixels: npt.NDArray[np.uint8], *, width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
