"""Pictures as strangers bring them: drawings of any size, on dark, light and uneven ground, grey and coloured."""

from __future__ import annotations

__all__ = ["make_pictures"]

import numpy as np
from PIL import Image, ImageDraw

from toolkit.card import InputSpec
from toolkit.data.load import load_mini

DIGITS = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")
RGB = InputSpec(height=32, width=48, channels=3, polarity="any", fit="stretch")
Case = tuple[np.ndarray, InputSpec, str]


def make_pictures() -> list[Case]:
    """Return pixels, what a model takes, and the wish of the one who brings them; the same every time."""
    random, images = np.random.default_rng(0), load_mini().test.images
    cases: list[Case] = [(_place(image, number, random), DIGITS, "mnist") for number, image in enumerate(images[:30])]
    cases += [(image, DIGITS, wish) for image in images[:4] for wish in ("auto", "mnist")]
    cases.append((np.full((1200, 1600), 255, np.uint8), DIGITS, "auto"))
    large = Image.new("L", (1600, 1300), 250)
    ImageDraw.Draw(large).line([(300, 200), (900, 1000), (1200, 300)], fill=20, width=60)
    cases.append((np.asarray(large), DIGITS, "auto"))
    sizes = random.integers(10, 120, (6, 2))
    return cases + [(random.integers(0, 256, (*size, 3), dtype=np.uint8), RGB, "auto") for size in sizes]


def _place(image: np.ndarray, number: int, random: np.random.Generator) -> np.ndarray:
    side = int(random.integers(40, 400))
    digit = Image.fromarray(image).resize((side, int(side * random.uniform(0.7, 1.4))), Image.Resampling.BICUBIC)
    width, height = int(side * random.uniform(1.2, 2.5)), int(side * random.uniform(1.6, 2.5))
    canvas = Image.new("L", (width, height), 0)
    canvas.paste(digit, tuple(int(random.integers(0, max(1, room))) for room in (width - side, height - digit.height)))
    pixels = np.asarray(canvas)
    if number % 4 == 2:  # paper in uneven light
        y, x = np.mgrid[0:height, 0:width]
        paper = 200 - 60 * x / width - 40 * y / height + random.normal(0, 2, (height, width))
        pixels = np.clip(paper - 0.5 * pixels, 0, 255).astype(np.uint8)
    elif number % 3 == 1:
        pixels = 255 - pixels
    if number % 5 == 3:
        pixels = np.stack([pixels, np.clip(pixels.astype(int) + 10, 0, 255).astype(np.uint8), pixels], axis=-1)
    return pixels
