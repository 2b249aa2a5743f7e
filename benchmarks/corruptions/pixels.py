"""Corruptions of brightness: noise, blur, brightness, fog, spatter, edges.

Each takes float32 `[N, H, W, C]` of 0 to 1 and returns the same shape; the caller clips to 0 to 1.
"""

from __future__ import annotations

__all__ = ["add_fog", "add_noise", "blur", "brighten", "keep_edges", "smooth", "spatter"]

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Rounds in which a strong edge may grow along weak ones; each adds a pixel in every direction.
HYSTERESIS_ROUNDS = 8


def add_noise(images: Array, generator: np.random.Generator, *, sigma: float, impulse_share: float) -> Array:
    """Add Gaussian noise to every value, and turn a share of the pixels black or white."""
    noisy = images + sigma * generator.standard_normal(images.shape, np.float32)
    chance = generator.random((*images.shape[:3], 1), np.float32)
    noisy = np.where(chance < impulse_share, np.float32(0), noisy)
    return np.where(chance > 1 - impulse_share, np.float32(1), noisy)


def blur(images: Array, generator: np.random.Generator, *, sigma: float) -> Array:
    """Blur with a Gaussian."""
    del generator  # nothing is random here
    return smooth(images, sigma=sigma * min(images.shape[1:3]))


def brighten(images: Array, generator: np.random.Generator, *, contrast: float, raised: float) -> Array:
    """Lower the contrast and raise everything."""
    del generator  # nothing is random here
    return contrast * images + np.float32(raised)


def add_fog(images: Array, generator: np.random.Generator, *, density: float) -> Array:
    """Blend with clouds: random fields of ever smaller cells, each half as strong as the one before."""
    count, height, width, _ = images.shape
    field = np.zeros((count, height, width), np.float32)
    weights = [0.5**octave for octave in range(1, max(2, int(math.log2(min(height, width))) - 1))]
    for octave, weight in enumerate(weights, start=1):
        cells = generator.random((count, 2**octave + 1, 2**octave + 1), np.float32)
        field += np.float32(weight) * _enlarge(cells, height, width)
    low, high = field.min(axis=(1, 2), keepdims=True), field.max(axis=(1, 2), keepdims=True)
    clouds = 0.3 + 0.7 * (field - low) / (high - low)
    opacity = (density * clouds)[..., None]
    foggy: Array = images * (1 - opacity) + opacity
    return foggy


def spatter(images: Array, generator: np.random.Generator, *, share: float, blob: float, opacity: float) -> Array:
    """Cover a share of the image with round-edged drops, grey on what is dark and dark on what is bright."""
    count, height, width, _ = images.shape
    field = smooth(generator.standard_normal((count, height, width, 1), np.float32), sigma=blob * min(height, width))
    level = np.quantile(field, 1 - share, axis=(1, 2), keepdims=True).astype(np.float32)
    strength = np.std(field, axis=(1, 2), keepdims=True)
    drops = opacity * np.clip((field - level) / (0.25 * strength), 0, 1)
    bright = images.mean(axis=(1, 2, 3), keepdims=True) > 0.5
    spattered: Array = images * (1 - drops) + drops * np.where(bright, np.float32(0.35), np.float32(0.65))
    return spattered


def keep_edges(images: Array, generator: np.random.Generator, *, sigma: float, low: float, high: float) -> Array:
    """Keep nothing but thin white edges (Canny 1986, IEEE PAMI 8:679).

    Smooth, take the gradient, keep its ridges over `high` times the image's largest gradient, and what hangs together
    with them over `low` times it.
    """
    del generator  # nothing is random here
    grey = smooth(images.mean(axis=3, keepdims=True), sigma=sigma * min(images.shape[1:3]))[..., 0]
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    slope = np.hypot(across, down)
    ridge = slope * _is_ridge(slope, across, down)
    largest = slope.max(axis=(1, 2), keepdims=True) + np.float32(1e-6)
    weak, edges = ridge > low * largest, ridge > high * largest
    for _ in range(HYSTERESIS_ROUNDS):
        edges = weak & _grow(edges)
    return np.broadcast_to(edges[..., None], images.shape).astype(np.float32)


def _is_ridge(slope: Array, across: Array, down: Array) -> NDArray[np.bool_]:
    """Tell where a gradient is the largest along its own direction, of the four that a grid has."""
    padded = np.pad(slope, ((0, 0), (1, 1), (1, 1)))
    sector = np.rint(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    found = np.zeros(slope.shape, bool)
    height, width = slope.shape[1:]
    for number, (row, column) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
        behind = padded[:, 1 - row : 1 - row + height, 1 - column : 1 - column + width]
        # One side may be equal: a ridge of two equal pixels keeps one of them.
        found |= (sector == number) & (slope >= ahead) & (slope > behind)
    return found


def _grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add the eight neighbours of every pixel that is set."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
    grown: NDArray[np.bool_] = rows[:, :, :-2] | rows[:, :, 1:-1] | rows[:, :, 2:]
    return grown


def smooth(images: Array, *, sigma: float) -> Array:
    """Convolve with a Gaussian of `sigma` pixels, rows and columns one after the other; the border is repeated."""
    radius = max(1, math.ceil(2.5 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (1, 2):
        sides = [(0, 0)] * 4
        sides[axis] = (radius, radius)
        padded = np.pad(images, sides, mode="edge")
        length = images.shape[axis]
        views = [padded.take(range(shift, shift + length), axis=axis) for shift in range(len(kernel))]
        images = sum((weight * view for weight, view in zip(kernel, views, strict=True)), np.zeros_like(images))
    return images


def _enlarge(cells: Array, height: int, width: int) -> Array:
    """Bring `[N, n, n]` corner values to `[N, H, W]` by interpolation between neighbours."""
    for axis, size in ((1, height), (2, width)):
        place = np.linspace(0, cells.shape[axis] - 1, size, dtype=np.float32)
        first = np.minimum(place.astype(int), cells.shape[axis] - 2)
        share = (place - first).reshape(-1, 1) if axis == 1 else place - first
        cells = cells.take(first, axis=axis) * (1 - share) + cells.take(first + 1, axis=axis) * share
    return cells
