"""Augmentation on the tensor's own device: cheap, seeded, the same for the same seed."""

from __future__ import annotations

__all__ = ["shift_batch"]

import torch
from torch import Tensor
from torch.nn import functional


def shift_batch(images: Tensor, *, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift a whole batch by one random offset; the freed border is 0 (the ground of light-on-dark images).

    Args:
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        pixels: largest shift in each direction; 0 returns the images unchanged.
        generator: CPU generator that draws the two offsets.

    Returns:
        uint8, the same shape.
    """
    if pixels == 0:
        return images
    down, right = (int(value) for value in torch.randint(-pixels, pixels + 1, (2,), generator=generator))
    height, width = images.shape[1], images.shape[2]
    trailing = (0, 0) if images.ndim == 4 else ()
    padded = functional.pad(images, (*trailing, pixels, pixels, pixels, pixels))
    top, left = pixels - down, pixels - right
    return padded[:, top : top + height, left : left + width]
