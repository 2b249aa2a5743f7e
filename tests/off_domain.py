"""Pictures that a digit model was never meant for, light on dark: blank, noise, textures, letters, two digits in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from toolkit.card import InputSpec
from toolkit.imaging.fit import fit_like_mnist

SPEC = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")
# Letters that do not look like a digit. Left out: B D G I J L O P Q S T Z, b c d g i j l o p q s y z, which may be
# taken for 8 0 6 1 1 1 0 9 0 5 7 2, 6 0 0 9 1 1 1 0 9 9 5 4 2; and C, which is part of 0 or 6.
LETTERS = "AEFHKMNRUVWXYaefhkmnrtuvwx"
FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSans-Oblique", "STIXGeneral")


def blanks() -> np.ndarray:
    """uint8 `[N, 28, 28]`: one grey everywhere, and that with a grain of up to two levels."""
    rng = np.random.default_rng(0)
    even = [np.full((28, 28), level, np.uint8) for level in range(0, 256, 5)]
    grainy = [np.clip(picture + rng.integers(-2, 3, picture.shape), 0, 255).astype(np.uint8) for picture in even]
    return np.stack(even + grainy)


def noise(count: int = 200) -> np.ndarray:
    """uint8 `[N, 28, 28]`: uniform, normal, and salt on black, of several strengths."""
    rng = np.random.default_rng(1)
    uniform = rng.integers(0, 256, (count, 28, 28))
    normal = np.clip(rng.normal(128, rng.uniform(10, 80, (count, 1, 1)), (count, 28, 28)), 0, 255)
    salt = 255 * (rng.random((count, 28, 28)) < rng.uniform(0.05, 0.5, (count, 1, 1)))
    return np.concatenate([uniform, normal, salt]).astype(np.uint8)


def textures(count: int = 60) -> np.ndarray:
    """uint8 `[N, 28, 28]`: stripes of any direction, checks, gradients, smooth clouds, bricks."""
    rng = np.random.default_rng(2)
    rows, columns = np.indices((28, 28))
    pictures = []
    for _ in range(count):
        angle, period, phase = rng.uniform(0, np.pi), rng.uniform(3, 14), rng.uniform(0, 2 * np.pi)
        along = rows * np.sin(angle) + columns * np.cos(angle)
        side, shift = int(rng.integers(2, 9)), int(rng.integers(0, 9))
        clouds = np.asarray(Image.fromarray(rng.integers(0, 256, (5, 5)).astype(np.uint8)).resize((28, 28), 3))
        bricks = 255 * ((rows % side > 0) & ((columns + (rows // side) % 2 * side) % (2 * side) > 0))
        pictures += [
            127.5 + 127.5 * np.sin(2 * np.pi * along / period + phase),
            255 * (((rows + shift) // side + columns // side) % 2),
            255 * (along - along.min()) / np.ptp(along),
            clouds,
            bricks,
        ]
    return np.stack(pictures).astype(np.uint8)


def letters(size: int = 96) -> np.ndarray:
    """uint8 `[N, 28, 28]`: every letter of the list in every font, fitted as a prediction fits it."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pictures = []
    for name in FONTS:
        font = ImageFont.truetype(str(folder / f"{name}.ttf"), size)
        for letter in LETTERS:
            image = Image.new("L", (2 * size, 2 * size))
            ImageDraw.Draw(image).text((size // 2, size // 4), letter, fill=255, font=font)
            pictures.append(fit_like_mnist(np.asarray(image), SPEC)[0])
    return np.stack(pictures)


def pairs(digits: np.ndarray, count: int = 300) -> np.ndarray:
    """uint8 `[N, 28, 28]`: two digits beside one another in one picture, drawn by `digits` `[M, 28, 28]`."""
    rng = np.random.default_rng(3)
    chosen = digits[rng.integers(0, len(digits), (count, 2))]
    wide = np.concatenate([chosen[:, 0, :, 3:-3], chosen[:, 1, :, 3:-3]], axis=2)
    return np.stack([np.asarray(Image.fromarray(picture).resize((28, 28), 2)) for picture in wide])
