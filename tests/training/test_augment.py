"""Augmentation: the right pixels in the right places, the same for the same seed, on the tensor's own device."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.steps.augment import Warps, augment, draw_batch_shift, draw_warps

SHAPES = [(5, 8, 9), (5, 8, 9, 3)]


def recipe(shape: tuple[int, ...] = (5, 8, 9), **settings: float) -> Recipe:
    base = replace(resolve_recipe("tutorial"), **settings)  # type: ignore[arg-type]  # floats only
    height, width, channels = shape[1], shape[2], 3 if len(shape) == 4 else 1
    network = replace(base.network, height=height, width=width, channels=channels, kernel_size=1)
    return replace(base, network=network)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    out = torch.zeros_like(images)
    height, width = images.shape[1:3]
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                out[:, row, column] = images[:, row - down, column - right]
    return out


def affine(*rows: list[float], count: int = 5) -> Warps:
    matrix = torch.tensor([rows], dtype=torch.float32).expand(count, 2, 3)
    return Warps(matrix, torch.zeros(count, 0), (0, 0), torch.zeros(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shifted_batch_is_the_same_picture_elsewhere(shape: tuple[int, ...]) -> None:
    images = torch.randint(1, 256, shape, dtype=torch.uint8)
    for down in range(-2, 3):
        for right in range(-2, 3):
            shifted = augment(images, warps=None, shift=(down, right))
            assert torch.equal(shifted, moved(images, down, right))


def test_batch_shifts_reach_every_offset_and_none_beyond() -> None:
    seen = {draw_batch_shift(1, generator(seed)) for seed in range(200)}
    assert seen == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_identity_warp_changes_nothing(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    warped = augment(images, warps=affine([1, 0, 0], [0, 1, 0]), shift=(0, 0))
    assert torch.allclose(warped, images.float(), atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_warp_by_whole_pixels_is_a_shift(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    # A pixel comes from two to its right and one above it: the picture moves left and down.
    warped = augment(images, warps=affine([1, 0, 2], [0, 1, -1]), shift=(0, 0))
    assert torch.allclose(warped, moved(images, 1, -2).float(), atol=1e-3)


def test_a_quarter_turn_turns_square_images() -> None:
    images = torch.randint(0, 256, (5, 8, 8), dtype=torch.uint8)
    warped = augment(images, warps=affine([0, -1, 0], [1, 0, 0]), shift=(0, 0))
    # The pixel at (x, y) comes from (-y, x): counter-clockwise, as rot90 turns.
    assert torch.allclose(warped, torch.rot90(images, 1, (1, 2)).float(), atol=1e-2)


@pytest.mark.parametrize(
    ("field", "value", "largest"),
    [
        ("rotation_degrees", 30.0, math.sin(math.radians(30))),
        ("scale", 0.5, 0.5),
        ("shear", 0.3, 0.3),
        ("shift_pixels", 2.0, 2.0),
    ],
)
def test_every_kind_of_warp_fills_its_range_and_stays_inside(field: str, value: float, largest: float) -> None:
    drawn = draw_warps(recipe(**{field: value}), count=4000, generator=generator()).affine
    identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    off = (drawn - identity).abs().amax(dim=0)
    assert largest * 0.97 < float(off.max()) <= largest + 1e-6
    if field == "rotation_degrees":
        product = drawn[:, :, :2] @ drawn[:, :, :2].transpose(1, 2)
        assert torch.allclose(product, torch.eye(2).expand_as(product), atol=1e-6)
    others = {"scale": [0, 4], "shear": [1], "shift_pixels": [2, 5]}.get(field)
    if others is not None:
        assert [index for index, size in enumerate(off.flatten()) if size > 1e-6] == others


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    full = recipe((1, 28, 28), rotation_degrees=10, scale=0.1, shear=0.1, shift_pixels=2)
    images = torch.randint(0, 256, (6, 28, 28), dtype=torch.uint8)
    first, second, other = (
        augment(images, warps=draw_warps(full, count=6, generator=generator(seed)), shift=(0, 0)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_clutter_shows_the_brighter_of_two_images_inside_its_rectangle(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    # Rows 1 to 3 and columns 4 to 7 of every image but the third; the other image is moved a row down, two columns left.
    places = torch.tensor([[6.0, 2.5, 2.0, 1.5]]).repeat(5, 1)
    places[2, 2:] = 0
    warps = affine([1, 0, 0], [0, 1, 0])._replace(clutter=places, clutter_shift=(1, -2))
    expected = images.float()
    for index in (0, 1, 3, 4):
        other = images[index - 1].roll((1, -2), (0, 1)).float()
        here = (index, slice(1, 4), slice(4, 8))
        expected[here] = torch.maximum(images[here].float(), other[1:4, 4:8])
    assert torch.allclose(augment(images, warps=warps, shift=(0, 0)), expected, atol=1e-3)


def test_clutter_has_its_share_its_sizes_and_its_reach() -> None:
    wanted = recipe((1, 28, 28), clutter_probability=0.7, clutter_pixels=13.0)
    drawn = [draw_warps(wanted, count=500, generator=generator(seed)) for seed in range(200)]
    places = torch.cat([warps.clutter for warps in drawn])
    is_hit = places[:, 2] > 0
    assert 0.69 < float(is_hit.float().mean()) < 0.71
    assert torch.equal(is_hit, places[:, 3] > 0)
    sides = 2 * places[is_hit, 2:]
    assert 1 <= float(sides.min()) < 1.01
    assert 12.99 < float(sides.max()) <= 13
    assert 0 <= float(places[:, :2].min()) < 0.01
    assert 27.99 < float(places[:, :2].max()) <= 28
    for axis in (0, 1):
        assert {warps.clutter_shift[axis] for warps in drawn} == set(range(-8, 9))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_is_blurred_by_its_own_gaussian(shape: tuple[int, ...]) -> None:
    images = torch.zeros(shape, dtype=torch.uint8)
    images[:, 4, 4] = 200
    sigma = torch.tensor([0.0, 0.5, 0.7, 0.6, 0.0])
    blurred = augment(images, warps=affine([1, 0, 0], [0, 1, 0])._replace(blur=sigma), shift=(0, 0))
    assert torch.allclose(blurred[sigma == 0], images[sigma == 0].float(), atol=1e-4)
    flat = augment(torch.full(shape, 90), warps=affine([1, 0, 0], [0, 1, 0])._replace(blur=sigma), shift=(0, 0))
    assert torch.allclose(flat, torch.full(shape, 90.0), atol=1e-3)
    # One pixel beside the dot: e^(-1 / 2 sigma^2) of what the dot keeps, down and across alike.
    for index in (1, 2, 3):
        image = blurred[index] if len(shape) == 3 else blurred[index, ..., 2]
        expected = math.exp(-1 / (2 * float(sigma[index]) ** 2))
        assert [float(image[place] / image[4, 4]) for place in ((5, 4), (4, 3))] == pytest.approx(
            [expected] * 2, rel=1e-4
        )


def test_blur_has_its_share_and_its_range() -> None:
    sigma = draw_warps(recipe(blur_probability=0.3, blur_pixels=2.0), count=100_000, generator=generator()).blur
    is_hit = sigma > 0
    assert 0.29 < float(is_hit.float().mean()) < 0.31
    assert 1.99 < float(sigma.max()) <= 2
    assert 0.98 < float(sigma[is_hit].mean()) < 1.02
    assert len(draw_warps(recipe(), count=4, generator=generator()).blur) == 0


def test_clutter_or_blur_alone_is_an_augmentation() -> None:
    assert recipe(clutter_probability=0.1).warps_images
    assert recipe(blur_probability=0.1).warps_images
    assert not recipe().warps_images
