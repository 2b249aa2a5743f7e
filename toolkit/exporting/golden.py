"""The images that travel in the card, with their reference answers."""

from __future__ import annotations

__all__ = ["GOLDEN_KINDS", "choose_golden", "count_golden", "synthetic_images"]

import numpy as np
from numpy.typing import NDArray

from toolkit.imaging.guard import measure_margins

GOLDEN_KINDS = ("data", "synthetic", "none")
LEAST_COUNT = 16
CAP_BASE64_BYTES = 256 << 10
# One of nine digits with its sign, exponent and comma. A thousand classes' would make a card of 10 MB.
LOGIT_BYTES = 20


def count_golden(*, classes: int, image_bytes: int) -> int:
    """Return how many golden images are wanted and fit: 16 or classes + 3, at most 256 KB as base64; 0 if none fits.

    Over 16 their logits take at most as much, which leaves fewer than classes + 3 from 114 classes on.
    """
    room = CAP_BASE64_BYTES * 3 // 4 // image_bytes
    answers = max(LEAST_COUNT, CAP_BASE64_BYTES // (LOGIT_BYTES * classes))
    return min(max(LEAST_COUNT, classes + 3), answers, room)


def choose_golden(labels: NDArray[np.int64], logits: NDArray[np.float64], *, image_bytes: int) -> NDArray[np.int64]:
    """Choose images on which a broken file fails: the smallest margins, one of every class, then the first ones.

    Args:
        labels: int64 `[N]`, true classes.
        logits: float64 `[N, K]`, reference logits.
        image_bytes: size of one image; the choice stays under 256 KB as base64, and may be empty.

    Returns:
        Ascending indices: at least 16 and classes + 3 where there are so many images and they and their logits fit.
    """
    order = np.argsort(measure_margins(logits), kind="stable")
    firsts = [int(np.flatnonzero(labels == value)[0]) for value in np.unique(labels)]
    wanted = count_golden(classes=logits.shape[1], image_bytes=image_bytes)
    candidates = dict.fromkeys([*order[:3].tolist(), *firsts, *range(min(len(labels), 4 * wanted))])
    return np.array(sorted(list(candidates)[:wanted]), np.int64)


def synthetic_images(shape: tuple[int, ...], *, count: int) -> NDArray[np.uint8]:
    """Return images that show nothing of anyone's data: black, white, a ramp, one bright pixel, seeded noise.

    In RGB the ramp runs another way in each channel: however few images fit, swapped channels show.

    Args:
        shape: of one image.
        count: how many.

    Returns:
        uint8 `[count, *shape]`.
    """
    images = np.random.default_rng(0).integers(0, 256, (max(count, 4), *shape), np.uint8)
    images[0], images[1] = 0, 255
    images[2] = _ramp(shape)
    images[3] = 0
    images[3, shape[0] // 2, shape[1] // 2] = 255
    return images[:count]


def _ramp(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    down, right = (np.linspace(0, 255, side).astype(np.uint8) for side in shape[:2])
    if len(shape) == 2:
        return np.broadcast_to(right, shape)
    planes = (right[None, :], down[:, None], right[None, ::-1])
    return np.stack([np.broadcast_to(plane, shape[:2]) for plane in planes], axis=2)
