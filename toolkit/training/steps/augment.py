"""Augmentation on the tensor's own device: every image warped once by everything together, vectorised and seeded.

Shapes: N images, H rows, W columns, C channels, P = H * W pixels.
"""

from __future__ import annotations

__all__ = ["Warps", "augment", "draw_batch_shift", "draw_warps"]

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.training.recipe import Recipe

# Clutter is cut from another image moved by up to this share of its sides: fragments then come from anywhere in it.
CLUTTER_SHARE = 2 / 7
# Of a Gaussian that leaves its neighbours less than float32 can hold beside 1.
LEAST_SIGMA = 0.1


class Warps(NamedTuple):
    """What happens to each image of a batch, drawn on the CPU so that every device sees the same.

    Attributes:
        affine: float32 `[N, 2, 3]`: where each output pixel comes from, in pixels from the image's centre (x, y).
        clutter: float32 `[N, 4]`: centre (x, y) and half sides (x, y) of a rectangle in pixels that also shows its part
            of another image, half sides 0 for none; empty where there never is one.
        clutter_shift: rows and columns by which the other images are moved before.
        blur: float32 `[N]`: standard deviation of a Gaussian in pixels, 0 for none; empty where there never is one.
    """

    affine: Tensor
    clutter: Tensor
    clutter_shift: tuple[int, int]
    blur: Tensor

    def to(self, device: torch.device) -> Warps:
        """Return the warps on a device."""
        affine, clutter, blur = (part.to(device, non_blocking=True) for part in (self.affine, self.clutter, self.blur))
        return Warps(affine, clutter, self.clutter_shift, blur)


def draw_batch_shift(pixels: int, generator: torch.Generator) -> tuple[int, int]:
    """Return rows and columns by which a whole batch is shifted, each from -pixels to pixels."""
    down, right = (int(value) for value in torch.randint(-pixels, pixels + 1, (2,), generator=generator))
    return down, right


def draw_warps(recipe: Recipe, *, count: int, generator: torch.Generator) -> Warps:
    """Draw one warp for each image.

    The affine part turns, stretches each axis, slants and shifts, all uniform in their ranges (stretching uniform in
    the logarithm).

    Args:
        recipe: the ranges, and the image's size.
        count: images N.
        generator: CPU generator.
    """
    unit = torch.rand((count, 6), generator=generator) * 2 - 1
    angle = unit[:, 0] * math.radians(recipe.rotation_degrees)
    stretch_x, stretch_y = torch.exp(unit[:, 1:3] * math.log1p(recipe.scale)).unbind(1)
    slant, shift = unit[:, 3] * recipe.shear, unit[:, 4:6] * recipe.shift_pixels
    cosine, sine = torch.cos(angle), torch.sin(angle)
    # rotation @ [[1, slant], [0, 1]] @ diag(stretch)
    rows = (
        torch.stack([cosine * stretch_x, (cosine * slant - sine) * stretch_y, shift[:, 0]], dim=1),
        torch.stack([sine * stretch_x, (sine * slant + cosine) * stretch_y, shift[:, 1]], dim=1),
    )
    clutter, clutter_shift = _draw_clutter(recipe, count, generator=generator)
    return Warps(torch.stack(rows, dim=1), clutter, clutter_shift, _draw_blur(recipe, count, generator=generator))


def _draw_clutter(recipe: Recipe, count: int, *, generator: torch.Generator) -> tuple[Tensor, tuple[int, int]]:
    if not recipe.clutter_probability:
        return torch.empty(count, 0), (0, 0)
    sides = (recipe.network.height, recipe.network.width)
    down, right = (
        int(torch.randint(-reach, reach + 1, (), generator=generator))
        for reach in (int(side * CLUTTER_SHARE) for side in sides)
    )
    unit = torch.rand((count, 5), generator=generator)
    is_hit = (unit[:, 4:] < recipe.clutter_probability).float()
    halves = (1 + unit[:, 2:4] * (recipe.clutter_pixels - 1)) / 2 * is_hit
    return torch.cat([unit[:, :2] * torch.tensor([sides[1], sides[0]]), halves], dim=1), (down, right)


def _draw_blur(recipe: Recipe, count: int, *, generator: torch.Generator) -> Tensor:
    if not recipe.blur_probability:
        return torch.empty(0)
    unit = torch.rand((2, count), generator=generator)
    return unit[0] * recipe.blur_pixels * (unit[1] < recipe.blur_probability)


def augment(images: Tensor, *, warps: Warps | None, shift: tuple[int, int]) -> Tensor:
    """Warp each image and shift the whole batch; what comes from outside is 0, the background of light-on-dark images.

    Args:
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`.
        warps: on the images' device; None leaves the images as they are. Fragments come from the image before in the
            batch, so that it must be whole.
        shift: rows and columns by which the batch is shifted as a whole.

    Returns:
        The same shape: uint8 where nothing is warped, else float32 in 0 to 255.
    """
    if warps is not None:
        images = _warp(images, warps)
        if warps.clutter.shape[1]:
            images = _clutter(images, warps)
        if len(warps.blur):
            images = _blur(images, warps.blur)
    return images if shift == (0, 0) else _shift(images, shift)


def _warp(images: Tensor, warps: Warps) -> Tensor:
    count, height, width = images.shape[:3]
    places, scale = _pixel_places(height, width, device=images.device)
    # [N * 2, 3] @ [3, P]: one product for the batch; functional.affine_grid does one for each image, five times slower.
    sources = (warps.affine.reshape(count * 2, 3) @ places).view(count, 2, height * width)
    grid = (sources * scale).permute(0, 2, 1).view(count, height, width, 2)
    maps = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    warped = functional.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return warped.squeeze(1) if images.ndim == 3 else warped.permute(0, 2, 3, 1)


def _clutter(images: Tensor, warps: Warps) -> Tensor:
    """Give each image a fragment of the one before it in the batch; the brighter of both shows, as ink adds up."""
    others = images.roll((1, *warps.clutter_shift), (0, 1, 2))
    is_inside = _rectangles(images, warps.clutter)
    return torch.where(is_inside, torch.maximum(images, others), images)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image with its own Gaussian: as products with one matrix for the rows and one for the columns."""
    maps = images if images.ndim == 3 else images.permute(3, 0, 1, 2)
    down, across = (_gaussians(sigma, size) for size in images.shape[1:3])
    blurred = down @ maps @ across.transpose(1, 2)
    return blurred if images.ndim == 3 else blurred.permute(1, 2, 3, 0)


def _gaussians(sigma: Tensor, size: int) -> Tensor:
    """Return `[N, size, size]`: what each pixel of a line takes of the others, in all 1; with 0 only of itself."""
    places = torch.arange(size, device=sigma.device)
    distance = (places[:, None] - places).square()
    return torch.softmax(-distance / (2 * sigma.clamp(min=LEAST_SIGMA).square())[:, None, None], dim=2)


def _rectangles(images: Tensor, places: Tensor) -> Tensor:
    """Return the pixels inside one rectangle an image, `[N, 4]` as in `Warps.clutter`; bool, to go with the images."""
    height, width = images.shape[1:3]
    rows, columns = (torch.arange(size, device=images.device) + 0.5 for size in (height, width))
    center_x, center_y, half_x, half_y = (places[:, index, None] for index in range(4))
    is_inside = ((rows - center_y).abs() < half_y)[:, :, None] & ((columns - center_x).abs() < half_x)[:, None, :]
    return is_inside if images.ndim == 3 else is_inside[..., None]


def _shift(images: Tensor, shift: tuple[int, int]) -> Tensor:
    (down, right), (height, width) = shift, images.shape[1:3]
    # Padded, then cut out again: no pixel wraps around, and the freed border is 0.
    pixels = max(abs(down), abs(right))
    trailing = (0, 0) if images.ndim == 4 else ()
    padded = functional.pad(images, (*trailing, pixels, pixels, pixels, pixels))
    top, left = pixels - down, pixels - right
    return padded[:, top : top + height, left : left + width]


@lru_cache(maxsize=4)
def _pixel_places(height: int, width: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return `[3, P]`: x, y from the image's centre in pixels, and 1; and `[2, 1]`: what makes grid units of x and y.

    Kept on the device: made anew each step, they would be copied there each step.
    """
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    places = torch.stack([columns - width / 2, rows - height / 2, torch.ones(height, width)])
    return places.view(3, -1).to(device), torch.tensor([[2 / width], [2 / height]], device=device)
