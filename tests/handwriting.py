"""Folders of handwriting as the source tutorial's author kept his: 16-bit greyscale PNGs, dark ink on white.

His ten pictures are not at hand. These are made from digits of other sets and of fonts, and their names say so:
`7-uci-0012.png` is a seven from UCI's digits. The true label is the first character.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LARGE = 200
CANVAS = 320
WHITE, INK = 65_000, 6_000


def draw_large(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small light-on-dark picture drawn large, off-centre, dark on white, as 16-bit grey `[320, 320]`."""
    side = int(rng.integers(LARGE * 2 // 3, LARGE + 1))
    scale = side / max(picture.shape)
    size = tuple(max(1, round(length * scale)) for length in reversed(picture.shape))
    large = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC), np.float64) / 255
    canvas = np.zeros((CANVAS, CANVAS))
    top, left = (int(rng.integers(5, CANVAS - length - 4)) for length in large.shape)
    canvas[top : top + large.shape[0], left : left + large.shape[1]] = large
    return np.rint(WHITE - (WHITE - INK) * np.clip(canvas, 0, 1)).astype(np.uint16)


def write_handwriting(folder: Path, pictures: np.ndarray, labels: np.ndarray, *, origin: str, seed: int = 0) -> None:
    """Write small light-on-dark pictures `[N, H, W]` as a folder of handwriting."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        Image.fromarray(draw_large(picture, rng)).save(folder / f"{label}-{origin}-{number:04}.png")


def font_digits(size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Digits 0 to 9 of matplotlib's fonts, light on dark, with their labels."""
    import matplotlib as mpl

    names = ("DejaVuSans", "DejaVuSerif", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSans-Oblique")
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pictures, labels = [], []
    for name in names:
        font = ImageFont.truetype(str(fonts / f"{name}.ttf"), size)
        for digit in range(10):
            image = Image.new("L", (size, size + size // 3))
            ImageDraw.Draw(image).text((size // 5, 0), str(digit), fill=255, font=font)
            pictures.append(np.asarray(image))
            labels.append(digit)
    return np.stack(pictures), np.array(labels)


def uci_digits() -> tuple[np.ndarray, np.ndarray]:
    """UCI's 1,797 digits as they are: 8x8, light on dark, with their labels (needs scikit-learn, extra `dev`)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    bright = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return np.pad(bright, ((0, 0), (1, 1), (1, 1))), digits.target
