"""Pictures of which a kit has to doubt as many as the product does, and what `toolkit predict` says of each.

The same every time: drawn by seed, with Pillow's own font.
"""

from __future__ import annotations

__all__ = ["Verdict", "large_pictures", "own_size_pictures", "product_verdicts"]

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from toolkit.card import InputSpec
from toolkit.data.load import load_mini
from toolkit.imaging.polarity import invert, is_dark_on_light
from toolkit.prediction.classifier import Classifier

Draw = Callable[[np.random.Generator, int, int], np.ndarray]
LETTERS = "AEFHKMNRUVWXYaefhkmnrtuvwx"
NUM_OWN, NUM_LARGE = 200, 50


class Verdict(NamedTuple):
    """What the product says of a picture.

    Attributes:
        label: the class's name; "" where there is no answer.
        is_doubtful: whether the answer is to be doubted.
        reason: why, in words; "" where it is not.
        message: everything that was told of the picture: also what was done to it, or why there is no answer.
    """

    label: str
    is_doubtful: bool
    reason: str
    message: str


def product_verdicts(model: Path, pictures: Sequence[np.ndarray]) -> list[Verdict]:
    """Return what `toolkit predict` says, by its own code."""
    with Classifier(model) as classifier:
        answered = classifier.predict(list(pictures), on_error="keep")
    columns = (answered.labels, answered.doubtful.tolist(), answered.reasons, answered.messages)
    return [Verdict(*row) for row in zip(*columns, strict=True)]


def own_size_pictures(spec: InputSpec) -> list[np.ndarray]:
    """Return 200 pictures of a model's own size and polarity, so that nothing has to be done to them."""
    random = np.random.default_rng(7)
    kinds: tuple[Draw, ...] = (_digit, _digit, _digit, _blank, _noise, _letter, _pair, _texture)
    pictures = []
    for number in range(NUM_OWN):
        grey = kinds[number % len(kinds)](random, spec.height, spec.width)
        if is_dark_on_light(grey) and spec.polarity != "any":
            grey = invert(grey)
        grey = invert(grey) if spec.polarity == "dark-on-light" else grey
        tints = random.uniform(0.6, 1, 3)
        pictures.append(grey if spec.channels == 1 else (grey[..., np.newaxis] * tints).astype(np.uint8))
    return pictures


def large_pictures() -> list[np.ndarray]:
    """Return 50 pictures of many sizes: scans and photographs of digits, letters and pairs, of blanks and noise.

    Ink dark on light and light on dark, grey and coloured, on even paper and on paper in uneven light.
    """
    random = np.random.default_rng(8)
    kinds: tuple[Draw, ...] = (_digit, _digit, _digit, _letter, _pair, _digit, _texture, _digit, _blank, _noise)
    pictures = []
    for number in range(NUM_LARGE):
        height, width = (int(side) for side in random.integers(60, 700, 2))
        side = int(min(height, width) * random.uniform(0.5, 0.9))
        ink = np.zeros((height, width), np.float64)
        top, left = (int(random.integers(0, room - side + 1)) for room in (height, width))
        ink[top : top + side, left : left + side] = kinds[number % len(kinds)](random, side, side)
        photograph, is_dark = number % 3 == 1, number % 2 == 0
        ground = _lit_paper(random, height, width) if photograph else np.full((height, width), 245.0)
        made = (
            ground - ink * random.uniform(0.5, 0.9) if is_dark or photograph else ink + random.normal(0, 1.5, ink.shape)
        )
        pixels = np.clip(made, 0, 255).astype(np.uint8)
        pictures.append(
            np.stack([pixels, pixels, np.clip(pixels + 8.0, 0, 255).astype(np.uint8)], -1)
            if number % 5 == 3
            else pixels
        )
    return pictures


def _lit_paper(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return 215 - 60 * x / width - 50 * y / height + random.normal(0, 2, (height, width))


@functools.cache
def _digits() -> np.ndarray:
    return load_mini().test.images


def _digit(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    return _resized(_digits()[random.integers(len(_digits()))], height, width)


def _blank(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    grain = random.integers(0, 3)
    return np.clip(random.integers(0, 256) + random.integers(-grain, grain + 1, (height, width)), 0, 255).astype(
        np.uint8
    )


def _noise(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    if random.random() < 0.5:
        return (255 * (random.random((height, width)) < random.uniform(0.05, 0.5))).astype(np.uint8)
    return np.clip(random.normal(128, random.uniform(10, 80), (height, width)), 0, 255).astype(np.uint8)


def _letter(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    image = Image.new("L", (96, 96))
    letter = LETTERS[random.integers(len(LETTERS))]
    ImageDraw.Draw(image).text((48, 48), letter, fill=255, font=ImageFont.load_default(70), anchor="mm")
    return _resized(np.asarray(image.filter(ImageFilter.GaussianBlur(1))), height, width)


def _pair(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    chosen = _digits()[random.integers(0, len(_digits()), 2)]
    return _resized(np.concatenate([chosen[0][:, 3:-3], chosen[1][:, 3:-3]], axis=1), height, width)


def _texture(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    rows, columns = np.indices((height, width))
    kind, angle, period = random.integers(3), random.uniform(0, np.pi), random.uniform(3, 14)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    if kind == 0:
        return (127.5 + 127.5 * np.sin(2 * np.pi * along / period)).astype(np.uint8)
    if kind == 1:
        return (255 * ((rows // int(period) + columns // int(period)) % 2)).astype(np.uint8)
    return (255 * (along - along.min()) / max(np.ptp(along), 1)).astype(np.uint8)


def _resized(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    if grey.shape == (height, width):
        return grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC))
