"""A picture of any size brought to the model's."""

from __future__ import annotations

__all__ = ["find_fit", "fit_image", "fit_like_mnist"]

from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.errors import DataError, ModelError
from toolkit.imaging.background import Background, background_level, measure_background
from toolkit.imaging.ink_pieces import Piece, find_pieces, keep_drawing
from toolkit.imaging.polarity import invert, nearly_all
from toolkit.imaging.settings import DOUBT

# MNIST: "size normalized to fit in a 20x20 pixel box ... centered in a 28x28 image by the center of mass" (LeCun).
MNIST_BOX_SHARE = 20 / 28
# Paler than this share of the strongest ink is noise of the background, not ink.
INK_SHARE = 0.2
# On an uneven background ink is also stronger than this many standard deviations of the paper's texture.
INK_DEVIATIONS = 5
# Larger pictures are reduced by whole factors first, averaging areas: a stroke stays several pixels wide.
LARGEST_SIDE = 512


def fit_image(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Bring an image to the model's height and width; one that has them is returned untouched.

    `mnist`: as `fit_like_mnist`. `stretch`: the whole picture is resized.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`, light ink on a dark background where `spec.fit` is `mnist`.
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
        raise DataError(f"the image is {height}x{width}; the model takes exactly {spec.height}x{spec.width}")
    if spec.fit == "mnist" and pixels.ndim == 2:
        return fit_like_mnist(pixels, spec)[0]
    if spec.fit == "stretch":
        return _resize(pixels, width=spec.width, height=spec.height)
    raise ModelError(
        f"the card asks for fit {spec.fit!r} of {spec.channels} channels; known are mnist (grey), stretch, none"
    )


def fit_like_mnist(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Place the ink of a picture as MNIST's authors placed their digits.

    The background is taken off (its slope too, where the picture is lit unevenly), specks are left out, the ink's
    bounding box is scaled until its longer side is 20/28 of the image's shorter one, and its centre of mass is put on
    the pixel in the middle. The strongest ink becomes 255.

    Args:
        pixels: uint8 `[H, W]`, light ink on a dark background.
        spec: gives height and width.

    Returns:
        uint8 `[spec.height, spec.width]`, and what was seen on the way, in words.

    Raises:
        DataError: nothing stands out from the background.
    """
    picture = _reduce(pixels)
    ink, threshold, notes = _take_background_off(picture)
    box, seen = _find_drawing(ink > threshold)
    cropped = ink[box.top : box.bottom, box.left : box.right] * (255 / ink.max())
    return _place(np.rint(cropped).astype(np.uint8), spec), [*notes, *seen]


def find_fit(pictures: npt.NDArray[np.uint8], polarity: str) -> str:
    """Tell how other pictures come to be like these: `mnist` where nearly all are placed as that does, else `stretch`.

    Placed so is ink whose box has the right longer side and whose centre of mass is in the middle, each to a pixel.

    Args:
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        polarity: what they are; of `any`, nobody knows what is ink.
    """
    if polarity == "any" or pictures.ndim != 3:
        return "stretch"
    turn = invert if polarity == "dark-on-light" else np.asarray
    return "mnist" if nearly_all(pictures, lambda picture: _is_placed(turn(picture))) else "stretch"


def _is_placed(picture: npt.NDArray[np.uint8]) -> bool:
    ink = np.clip(picture.astype(np.float64) - background_level(picture), 0, None)
    if not ink.any():
        return False
    sides, lengths = np.array(ink.shape), []
    for axis in (1, 0):
        # Resizing makes edges pale, so that a pixel more or less is seen: hence the tolerance below.
        there = np.flatnonzero((ink > INK_SHARE * ink.max()).any(axis=axis))
        lengths.append(there[-1] - there[0] + 1)
    centre = np.array([ink.sum(axis=1 - axis) @ np.arange(side) for axis, side in enumerate(sides)]) / ink.sum()
    return abs(max(lengths) - _box_side(sides)) <= 1 and bool((np.abs(centre - sides / 2) <= 1).all())


def _box_side(sides: npt.NDArray[Any] | tuple[int, int]) -> int:
    return max(1, round(float(min(sides)) * MNIST_BOX_SHARE))


def _reduce(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    factor = max(pixels.shape) // LARGEST_SIDE
    if factor <= 1:
        return pixels
    from PIL import Image  # here, because arrays of the model's size need no Pillow

    return np.array(Image.fromarray(pixels).reduce(factor))


def _take_background_off(picture: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], float, list[str]]:
    """Return how far every pixel stands out, at least 0, from which on that is ink, and what was done."""
    background = measure_background(picture)
    if background is None:
        ink = np.clip(picture.astype(np.float32) - background_level(picture), 0, None)
    else:
        ink = _above(picture, background)
    strongest = float(ink.max())
    if strongest <= 0 and picture.min() < picture.max():
        raise DataError(
            "the image has no ink of this polarity: what stands out from its ground is on the other side of it; give "
            "the other polarity, or auto"
        )
    if strongest <= 0:
        raise DataError("the image is blank: nothing stands out from its ground")
    # Ink is anything that is not much paler than the strongest: strokes differ in pressure, and edges are smooth.
    threshold = INK_SHARE * strongest
    if background is None:
        return ink, threshold, []
    least = max(threshold, INK_DEVIATIONS * background.noise)
    if strongest <= least:
        raise DataError("the image is blank: nothing stands out from its uneven ground")
    # Texture that is left would be drawn as pale ink.
    ink[ink < threshold / 2] = 0
    return ink, least, ["uneven ground taken off"]


def _above(picture: npt.NDArray[np.uint8], background: Background) -> npt.NDArray[np.float32]:
    above = np.clip(picture - background.surface, 0, None)
    # One glossy pixel must not make all ink pale.
    most = np.float32(np.percentile(above, 99.9))
    return np.asarray(np.minimum(above, most), np.float32)


def _find_drawing(is_ink: npt.NDArray[np.bool_]) -> tuple[Piece, list[str]]:
    """Return the box around the ink without specks, and what was seen."""
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    whole = Piece(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1, int(is_ink.sum()))
    pieces = find_pieces(is_ink[whole.top : whole.bottom, whole.left : whole.right])
    if pieces is None:
        return whole, [f"{DOUBT}ink in very many pieces"]
    kept, drawings = keep_drawing(pieces)
    box = Piece(
        whole.top + min(piece.top for piece in kept),
        whole.top + max(piece.bottom for piece in kept),
        whole.left + min(piece.left for piece in kept),
        whole.left + max(piece.right for piece in kept),
        sum(piece.mass for piece in kept),
    )
    specks = len(pieces) - len(kept)
    notes = [f"{specks} specks left out"] if specks else []
    return box, notes + ([f"{DOUBT}{drawings} drawings side by side"] if drawings > 1 else [])


def _place(ink: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Scale ink and put its centre of mass in the middle."""
    # By the ink's longer side, so that its proportions stay.
    scale = _box_side((spec.height, spec.width)) / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    ink = _resize(ink, width=width, height=height)
    canvas = np.zeros((spec.height, spec.width), np.uint8)
    top, left = (_offset(ink.sum(axis=1 - axis, dtype=np.float64), side=canvas.shape[axis]) for axis in (0, 1))
    canvas[top : top + height, left : left + width] = ink
    return canvas


def _offset(mass: npt.NDArray[np.float64], *, side: int) -> int:
    """Return where a strip begins so that its centre of mass is on pixel side / 2, without leaving the canvas."""
    # MNIST's own images have it there: the mean over 2,000 of them is pixel (13.99, 14.01) of 28.
    centre = float((mass * np.arange(mass.size)).sum() / mass.sum()) if mass.any() else mass.size / 2
    return min(max(round(side / 2 - centre), 0), side - mass.size)


def _resize(pixels: npt.NDArray[np.uint8], *, width: int, height: int) -> npt.NDArray[np.uint8]:
    from PIL import Image  # as above

    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
