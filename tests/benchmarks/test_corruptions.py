"""Corruptions: the same for the same seed, of the same shape, each doing what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from corruptions import pixels, shapes
from corruptions.families import CHUNK, FAMILIES, corrupt_images
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import UsageError

MNIST_C = ["noise", "blur", "affine", "brightness", "stripe", "fog", "spatter", "lines", "zigzag", "edges", "elastic"]


def bars(count: int = 4, size: int = 28) -> np.ndarray:
    """White upright bars on black, each image with its own."""
    images = np.zeros((count, size, size), np.uint8)
    for number, image in enumerate(images):
        left = size // 3 + number % (size // 4)
        image[size // 5 : -size // 5, left : left + size // 7] = 255
    return images


def unit(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32)[..., None] / 255


def draws() -> np.random.Generator:
    return np.random.default_rng(3)


def test_there_are_the_families_of_the_paper() -> None:
    assert list(FAMILIES) == MNIST_C


@pytest.mark.parametrize("family", MNIST_C)
@settings(max_examples=8)
@given(data=st.data())
def test_shape_and_dtype_stay_and_the_seed_decides(family: str, data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(16, 48)) for _ in range(2))
    channels = data.draw(st.sampled_from([(), (3,)]))
    count, seed = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 5))
    images = np.random.default_rng(seed).integers(0, 256, (count, height, width, *channels), np.uint8)
    before = images.copy()
    spoilt = corrupt_images(images, family, seed=seed)
    assert (spoilt.shape, spoilt.dtype) == (images.shape, np.uint8)
    assert (images == before).all()
    assert (spoilt == corrupt_images(images, family, seed=seed)).all()


@pytest.mark.parametrize("family", MNIST_C)
def test_what_an_image_gets_does_not_depend_on_how_many_follow(family: str) -> None:
    images = bars(CHUNK + 10)
    whole = corrupt_images(images, family)
    assert (corrupt_images(images[:7], family) == whole[:7]).all()
    assert (corrupt_images(images[: CHUNK + 3], family) == whole[: CHUNK + 3]).all()
    changed = (whole != images).any(axis=(1, 2))
    assert changed.all()


@pytest.mark.parametrize("family", sorted(set(MNIST_C) - {"blur", "brightness", "edges"}))
def test_another_seed_or_place_gives_another_corruption(family: str) -> None:
    images = np.repeat(bars(1), 8, axis=0)
    spoilt = corrupt_images(images, family)
    assert (corrupt_images(images, family, seed=1) != spoilt).any()
    assert len({image.tobytes() for image in spoilt}) > 5  # a stripe has few places to be


@pytest.mark.parametrize("family", MNIST_C)
def test_a_colour_image_of_equal_channels_is_corrupted_like_its_grey_twin(family: str) -> None:
    grey = bars()
    spoilt = corrupt_images(np.repeat(grey[..., None], 3, axis=3), family)
    if family == "noise":  # drawn for every channel on its own
        assert (spoilt[..., 0] != spoilt[..., 1]).any()
    else:
        assert (np.abs(spoilt.astype(int) - corrupt_images(grey, family)[..., None]) <= 1).all()


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'noise'"):
        corrupt_images(bars(), "nosie")


def test_severity_zero_changes_nothing() -> None:
    images = unit(bars())
    quiet = (
        pixels.add_noise(images, draws(), sigma=0, impulse_share=0),
        pixels.brighten(images, draws(), contrast=1, raised=0),
        pixels.add_fog(images, draws(), density=0),
        pixels.spatter(images, draws(), share=0.1, blob=0.05, opacity=0),
        shapes.bend_elastic(images, draws(), sigma=0.1, reach=0),
        shapes.transform_affine(images, draws(), least_degrees=0, most_degrees=0, shear=0, scale=1),
    )
    for spoilt in quiet:
        assert np.abs(spoilt - images).max() < 1e-6


def test_noise_has_the_strength_stated() -> None:
    flat = np.full((CHUNK, 28, 28, 1), 0.5, np.float32)
    plain = pixels.add_noise(flat, draws(), sigma=0.25, impulse_share=0)
    assert plain.std() == pytest.approx(0.25, rel=0.02)
    impulses = pixels.add_noise(flat, draws(), sigma=0, impulse_share=0.04)
    assert (impulses == 0).mean() == pytest.approx(0.04, abs=0.003)
    assert (impulses == 1).mean() == pytest.approx(0.04, abs=0.003)


def test_blur_spreads_a_point_as_wide_as_stated_and_loses_no_light() -> None:
    point = np.zeros((1, 41, 41, 1), np.float32)
    point[0, 20, 20] = 1
    spread = pixels.blur(point, draws(), sigma=2 / 41)[0, ..., 0]
    place = np.arange(41) - 20
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    for axis in (0, 1):
        assert np.sqrt((spread.sum(axis=axis) * place**2).sum()) == pytest.approx(2, rel=0.08)


def test_elastic_moves_pixels_as_far_as_stated_and_neighbours_alike() -> None:
    # Brightness that grows by 1 a row: how much it changes is how many rows a pixel came from afar.
    ramp = np.broadcast_to(np.arange(200, dtype=np.float32)[None, :, None, None], (8, 200, 200, 1)).copy()
    bent = shapes.bend_elastic(ramp, draws(), sigma=0.1, reach=0.06)
    moved = (bent - ramp)[:, 50:150, 50:150, 0]
    assert moved.std() == pytest.approx(0.06 * 200, rel=0.25)
    assert np.abs(np.diff(moved, axis=2)).max() < 3


def test_affine_turns_an_image_by_the_angle_asked_for() -> None:
    bar = np.zeros((64, 65, 65, 1), np.float32)
    bar[:, 10:55, 30:35] = 1
    turned = shapes.transform_affine(bar, draws(), least_degrees=30, most_degrees=30, shear=0, scale=1)[..., 0]
    rows, columns = np.mgrid[:65, :65] - 32
    angles = set()
    for image in turned:
        covariance = (image * rows * columns).sum()
        angles.add(round(float(np.rad2deg(0.5 * np.arctan2(2 * covariance, (image * (rows**2 - columns**2)).sum())))))
    assert angles == {-30, 30}, "to both sides"
    assert turned.sum() == pytest.approx(bar.sum(), rel=0.02)


def test_a_stripe_is_inverted_and_the_rest_untouched() -> None:
    images = bars(50)
    spoilt = corrupt_images(images, "stripe")
    for before, after in zip(images, spoilt, strict=True):
        columns = np.flatnonzero((before != after).any(axis=0))
        assert len(columns) == columns[-1] - columns[0] + 1 == 6
        assert (after[:, columns] == 255 - before[:, columns]).all()


@pytest.mark.parametrize("family", ["lines", "zigzag"])
@pytest.mark.parametrize("dark", [True, False])
def test_lines_stand_out_from_dark_and_bright_ground(family: str, *, dark: bool) -> None:
    ground = np.full((20, 40, 40), 0 if dark else 255, np.uint8)
    drawn = np.abs(corrupt_images(ground, family).astype(int) - ground)
    share = (drawn > 128).mean(axis=(1, 2))
    assert drawn.max() == 255
    assert (share > 0.005).all()
    assert (share < 0.25).all()


def test_a_dotted_line_has_gaps_and_a_zigzag_has_none() -> None:
    ground = np.zeros((1, 64, 64, 1), np.float32)
    whole = shapes.draw_dotted_line(ground, draws(), width=0.05, dash=0.1, gap=0).sum()
    half = shapes.draw_dotted_line(ground, draws(), width=0.05, dash=0.1, gap=0.1).sum()
    assert half == pytest.approx(whole / 2, rel=0.2)
    straight = shapes.draw_zigzag(ground, draws(), width=0.05, period=0.3, amplitude=1e-6).sum()
    swinging = shapes.draw_zigzag(ground, draws(), width=0.05, period=0.3, amplitude=0.15).sum()
    assert straight == pytest.approx(whole, rel=0.2)
    assert swinging > 1.5 * straight


def test_spatter_covers_about_its_share() -> None:
    ground = np.zeros((50, 40, 40, 1), np.float32)
    covered = pixels.spatter(ground, draws(), share=0.12, blob=0.05, opacity=0.8) > 0
    assert covered.mean() == pytest.approx(0.12, abs=0.02)


def test_fog_brightens_and_lowers_the_contrast() -> None:
    images = unit(bars(20))
    foggy = pixels.add_fog(images, draws(), density=0.65)
    assert (foggy >= images - 1e-6).all()
    assert foggy.max() <= 1 + 1e-6
    ground = foggy[images == 0]
    assert ground.min() >= 0.3 * 0.65 - 1e-5
    assert ground.std() > 0.05, "clouds, not an even grey"


def test_edges_are_thin_outlines() -> None:
    square = np.zeros((1, 40, 40, 1), np.float32)
    square[:, 12:28, 12:28] = 1
    edges = pixels.keep_edges(square, draws(), sigma=0.03, low=0.1, high=0.25)[0, ..., 0]
    assert set(np.unique(edges)) == {0, 1}
    assert edges[15:25, 15:25].sum() == edges[:9].sum() == 0
    for middle in (edges[20, :20], edges[20, 20:], edges[:20, 20], edges[20:, 20]):
        assert middle.sum() == 1, "one pixel on each side of the square"
    assert pixels.keep_edges(np.ones_like(square), draws(), sigma=0.03, low=0.1, high=0.25).sum() == 0


def test_weak_edges_are_kept_only_where_they_hang_on_strong_ones() -> None:
    image = np.zeros((1, 40, 40, 1), np.float32)
    image[:, 20:] = np.linspace(1, 0.2, 40, dtype=np.float32)[:, None]  # one edge that fades to the right
    image[:, 4:6, 4:6] = 0.25  # a weak spot on its own
    edges = pixels.keep_edges(image, draws(), sigma=0.03, low=0.1, high=0.9)[0, ..., 0]
    strong = pixels.keep_edges(image, draws(), sigma=0.03, low=0.9, high=0.9)[0, ..., 0]
    assert 0 < strong.sum() < edges.sum()
    assert edges[15:25].sum() == edges.sum(), "the spot is gone"
    alone = pixels.keep_edges(image, draws(), sigma=0.03, low=0.1, high=0.1)[0, ..., 0]
    assert alone[:10].sum() > 0, "it is an edge where every edge counts as strong"
