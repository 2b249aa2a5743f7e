"""What a data set has to have before anything can be learnt from it."""

from __future__ import annotations

__all__ = ["LEAST_IMAGES", "check_data", "propose_size"]

from collections.abc import Iterable

import numpy as np

from toolkit.counts import count_of
from toolkit.data.dataset import Dataset
from toolkit.errors import DataError
from toolkit.network.config import LARGEST_IMAGE, SMALLEST_IMAGE

# Of which a fifth is held out: at least 2 images each way.
LEAST_IMAGES = 10
# Of photographs, the longer side: what is learnt quickly.
PROPOSED_SIDE = 64


def check_data(data: Dataset) -> None:
    """Refuse data that nothing can be learnt from, or that the network is not made for.

    Raises:
        DataError: too few images or classes; images under 16 or over 128 pixels a side.
    """
    if len(data.classes) < 2 or len(data.train) < LEAST_IMAGES:
        classes = count_of(len(data.classes), "class", plural="classes")
        raise DataError(
            f"{data.name} has {count_of(len(data.train), 'training image')} in {classes}; "
            f"expected at least {LEAST_IMAGES} images in 2 classes"
        )
    sides = (data.height, data.width)
    if not SMALLEST_IMAGE <= min(sides) <= max(sides) <= LARGEST_IMAGE:
        height, width = propose_size([sides])
        raise DataError(
            f"{data.name} has images of {data.height}x{data.width}; expected {SMALLEST_IMAGE} to {LARGEST_IMAGE} "
            f"pixels a side: resize them with --size {height}x{width} (height x width)"
        )


def propose_size(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the (height, width) to which pictures of several sizes, or of too large or small a one, can be brought.

    The middle one where a network takes it; else the same shape as large as it may be, of photographs smaller.
    """
    height, width = np.median(np.array(list(sizes)), axis=0)
    longer = max(height, width)
    if longer > LARGEST_IMAGE:
        limit = LARGEST_IMAGE if longer <= 2 * LARGEST_IMAGE else PROPOSED_SIDE
        height, width = limit * height / longer, limit * width / longer
    sides = (min(max(round(float(side)), SMALLEST_IMAGE), LARGEST_IMAGE) for side in (height, width))
    return tuple(sides)  # type: ignore[return-value]  # of two
