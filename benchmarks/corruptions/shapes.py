"""Corruptions of geometry: a turn with shear, elastic bending, a stripe, a dotted line, a zigzag.

Each takes float32 `[N, H, W, C]` of 0 to 1 and returns the same shape; lengths are shares of the shorter side.
"""

from __future__ import annotations

__all__ = ["bend_elastic", "draw_dotted_line", "draw_zigzag", "invert_stripe", "transform_affine"]

import math

import numpy as np
from numpy.typing import NDArray

from corruptions.pixels import smooth

Array = NDArray[np.float32]

# How far from the centre a line may pass.
LINE_OFFSET = 0.25


def transform_affine(
    images: Array,
    generator: np.random.Generator,
    *,
    least_degrees: float,
    most_degrees: float,
    shear: float,
    scale: float,
) -> Array:
    """Turn to either side by `least_degrees` to `most_degrees`, shear the same way and shrink, about the centre."""
    count, height, width, _ = images.shape
    side = np.where(generator.random(count) < 0.5, -1.0, 1.0)
    angle = np.deg2rad(side * generator.uniform(least_degrees, most_degrees, count))
    slant = side * shear * generator.uniform(0.5, 1.0, count)
    across, down = _centred(height, width)
    # For every pixel of the result, where it comes from.
    cosine, sine = (part(angle)[:, None, None] / scale for part in (np.cos, np.sin))
    columns = cosine * across + sine * down
    rows = -sine * across + cosine * down
    columns = columns + slant[:, None, None] * rows
    return _sample(images, rows + (height - 1) / 2, columns + (width - 1) / 2)


def bend_elastic(images: Array, generator: np.random.Generator, *, sigma: float, reach: float) -> Array:
    """Move each pixel by a smooth random field of standard deviation `reach` (Simard et al. 2003, ICDAR)."""
    count, height, width, _ = images.shape
    short = min(height, width)
    # Smoothing repeats the border, which makes it wilder there: drawn larger, and cut.
    edge = math.ceil(3 * sigma * short)
    noise = generator.standard_normal((count, height + 2 * edge, width + 2 * edge, 2), np.float32)
    field = smooth(noise, sigma=sigma * short)[:, edge:-edge, edge:-edge]
    # What smoothing leaves of white noise: 1 / (2 sigma sqrt(pi)) of its deviation.
    field *= reach * short * 2 * math.sqrt(math.pi) * sigma * short
    across, down = _centred(height, width)
    return _sample(images, down + (height - 1) / 2 + field[..., 0], across + (width - 1) / 2 + field[..., 1])


def invert_stripe(images: Array, generator: np.random.Generator, *, width: float) -> Array:
    """Invert one upright stripe at a random place."""
    count, height, columns, _ = images.shape
    size = max(1, round(width * min(height, columns)))
    left = generator.integers(0, columns - size + 1, count)[:, None]
    place = np.arange(columns)
    inside = ((place >= left) & (place < left + size))[:, None, :, None]
    return np.where(inside, 1 - images, images)


def draw_dotted_line(images: Array, generator: np.random.Generator, *, width: float, dash: float, gap: float) -> Array:
    """Draw one straight dotted line of any direction past the centre."""
    along, across, short = _line_coordinates(images, generator)
    phase = generator.random((len(images), 1, 1)) * (dash + gap) * short
    is_dash = (along + phase) % ((dash + gap) * short) < dash * short
    return _ink(images, (width * short / 2 - np.abs(across) + 0.5) * is_dash)


def draw_zigzag(
    images: Array, generator: np.random.Generator, *, width: float, period: float, amplitude: float
) -> Array:
    """Draw one line that swings to both sides like a triangle wave."""
    along, across, short = _line_coordinates(images, generator)
    phase = generator.random((len(images), 1, 1))
    wave = 4 * np.abs((along / (period * short) + phase) % 1 - 0.5) - 1
    # Distance to a flank is shorter than the distance across by the cosine of the flank's slope.
    slope = 4 * amplitude / period
    distance = np.abs(across - amplitude * short * wave) / np.hypot(1, slope)
    return _ink(images, width * short / 2 - distance + 0.5)


def _line_coordinates(images: Array, generator: np.random.Generator) -> tuple[Array, Array, int]:
    """Return each pixel's place along and across a random line of each image, in pixels, and the shorter side."""
    count, height, width, _ = images.shape
    short = min(height, width)
    angle = generator.uniform(0, np.pi, (count, 1, 1))
    offset = generator.uniform(-LINE_OFFSET, LINE_OFFSET, (count, 1, 1)) * short
    right, down = _centred(height, width)
    along = np.cos(angle) * right + np.sin(angle) * down
    across = np.cos(angle) * down - np.sin(angle) * right - offset
    return along.astype(np.float32), across.astype(np.float32), short


def _ink(images: Array, cover: NDArray[np.floating]) -> Array:
    """Put white on dark images and black on bright ones where `cover`, 1 on the line and 0 off it, says."""
    opacity = np.clip(cover, 0, 1).astype(np.float32)[..., None]
    ink = images.mean(axis=(1, 2, 3), keepdims=True) < 0.5
    inked: Array = images * (1 - opacity) + opacity * ink
    return inked


def _centred(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns and rows of every pixel, `[H, W]` each, counted from the centre."""
    down, right = np.mgrid[:height, :width].astype(np.float64)
    return right - (width - 1) / 2, down - (height - 1) / 2


def _sample(images: Array, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Array:
    """Read images between their pixels, `[N, H, W]` places each; beyond the border the border goes on."""
    count, height, width, _ = images.shape
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.minimum(rows.astype(int), height - 2), np.minimum(columns.astype(int), width - 2)
    below, beside = ((place - first).astype(np.float32)[..., None] for place, first in ((rows, top), (columns, left)))
    number = np.arange(count)[:, None, None]
    upper = images[number, top, left] * (1 - beside) + images[number, top, left + 1] * beside
    lower = images[number, top + 1, left] * (1 - beside) + images[number, top + 1, left + 1] * beside
    result: Array = upper * (1 - below) + lower * below
    return result
