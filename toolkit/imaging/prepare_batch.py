"""Many pictures of one size brought to a model at once; those that need nothing cost next to nothing.

Shapes: N pictures, H rows, W columns, M <= N that can be had.
"""

from __future__ import annotations

__all__ = ["PreparedBatch", "prepare_batch"]

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.errors import DataError
from toolkit.imaging.polarity import FRAME_SHARE, SAMPLED_SIDE
from toolkit.imaging.prepare import AS_IT_COMES, prepare_image
from toolkit.imaging.settings import AUTO, PrepareSettings


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
    pictures: npt.NDArray[np.uint8], spec: InputSpec, settings: PrepareSettings = AS_IT_COMES
) -> PreparedBatch:
    """Do with every picture what `prepare_image` does, to the byte.

    Args:
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        spec: what the model takes.
        settings: what the user wishes otherwise.
    """
    todo = np.flatnonzero(~_need_nothing(pictures, spec, settings))
    places = np.arange(len(pictures))
    if not len(todo):
        return PreparedBatch(pictures, places, {})
    images = np.empty((len(pictures), *spec.shape), np.uint8)
    if len(todo) < len(pictures):
        images[:] = pictures
    messages, is_lost = {}, np.zeros(len(pictures), bool)
    for place in todo.tolist():
        try:
            images[place], note = prepare_image(pictures[place], spec, settings)
        except DataError as error:
            is_lost[place], note = True, " ".join(str(error).split())
        if note:
            messages[place] = note
    return PreparedBatch(images[~is_lost], places[~is_lost], messages)


def _need_nothing(pictures: npt.NDArray[np.uint8], spec: InputSpec, settings: PrepareSettings) -> npt.NDArray[np.bool_]:
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
