"""Many images in pieces that every engine has the memory for, however large one image is."""

from __future__ import annotations

__all__ = ["PIECE_PIXELS", "split_images"]

import numpy as np
from numpy.typing import NDArray

# 500 images of 28x28: the first convolution's 32 maps of them need about 50 MB in float32. An image of 128x128 in RGB
# counts 63 times as much, so that 500 of those would need 1 GB.
PIECE_PIXELS = 500 * 28 * 28


def split_images(images: NDArray[np.uint8], *, pixels: int = PIECE_PIXELS) -> list[NDArray[np.uint8]]:
    """Return views of consecutive images, in order.

    Args:
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`, at least one.
        pixels: the most numbers in one piece; a single image may be larger.
    """
    size = max(1, pixels // images[0].size)
    return [images[start : start + size] for start in range(0, len(images), size)]
