"""A user's own images: coloured circles and squares on dark noise, one folder a class."""

from __future__ import annotations

__all__ = ["SHAPES", "write_shapes"]

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("blue circle", "blue square", "red circle", "red square")
INKS = {"blue": (40, 60, 240), "red": (230, 40, 40)}


def write_shapes(folder: Path, *, count: int, height: int, width: int) -> Path:
    """Write `count` PNG files in RGB, the classes in turn, into `<folder>/<class>/` and return the folder."""
    random = np.random.default_rng(0)
    radius = min(height, width) // 4
    for number in range(count):
        name = SHAPES[number % len(SHAPES)]
        ink, shape = name.split()
        image = Image.fromarray(random.integers(0, 60, (height, width, 3), np.uint8))
        x, y = (int(random.integers(radius, side - radius)) for side in (width, height))
        draw = ImageDraw.Draw(image)
        box = (x - radius, y - radius, x + radius, y + radius)
        (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=INKS[ink])
        path = folder / name / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder
