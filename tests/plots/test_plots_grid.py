"""The picture grid: where each image lands, and that the bytes are a PNG."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from toolkit.plots.canvas import image_grid


def draw(images: np.ndarray, captions: list[str], *, columns: int, title: str = "") -> np.ndarray:
    with Image.open(io.BytesIO(image_grid(images, captions, columns=columns, title=title))) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def grey(*values: int) -> np.ndarray:
    return np.stack([np.full((8, 8), value, dtype=np.uint8) for value in values])


def test_images_are_placed_row_by_row_with_their_own_brightness() -> None:
    picture = draw(grey(0, 40, 80, 120, 160, 200), [""] * 6, columns=3)
    height, width = picture.shape[:2]
    # The caption's room is at a row's top, so the lower third of a row is inside its image.
    rows = [round(height * (row + 0.7) / 2) for row in range(2)]
    centres = [[int(picture[row, round(width * (column + 0.5) / 3), 0]) for column in range(3)] for row in rows]
    assert centres == [[0, 40, 80], [120, 160, 200]]


def test_brightness_is_not_stretched_to_each_image() -> None:
    dark = grey(10)
    dark[0, 0, 0] = 20
    assert draw(dark, [""], columns=1).min() == 10


def test_last_row_may_be_shorter() -> None:
    assert draw(grey(0, 0, 0), [""] * 3, columns=2).shape == draw(grey(0, 0, 0, 0), [""] * 4, columns=2).shape


def test_colour_images_keep_their_colour() -> None:
    red = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    red[..., 0] = 255
    picture = draw(red, [""], columns=1)
    assert picture[round(picture.shape[0] * 0.7), picture.shape[1] // 2].tolist() == [255, 0, 0]


@pytest.mark.parametrize("caption", ["7 (was 2)", "$\\nosuchcommand$"])
def test_captions_and_titles_are_drawn_literally(caption: str) -> None:
    plain = draw(grey(255), [""], columns=1)
    assert (draw(grey(255), [caption], columns=1) != plain).any()
    assert draw(grey(255), [""], columns=1, title=caption).shape[0] > plain.shape[0]


def test_same_input_gives_the_same_bytes() -> None:
    assert image_grid(grey(1, 2), ["a", "b"], columns=2) == image_grid(grey(1, 2), ["a", "b"], columns=2)


@pytest.mark.parametrize(("captions", "columns"), [(["a"], 2), ([""] * 2, 0), ([""] * 3, 1)])
def test_grid_that_makes_no_sense_is_refused(captions: list[str], columns: int) -> None:
    with pytest.raises(ValueError, match="2 images"):
        image_grid(grey(1, 2), captions, columns=columns)


def test_pyplot_is_never_loaded() -> None:
    code = (
        "import sys, toolkit.plots.canvas as p; assert 'matplotlib' not in sys.modules and 'numpy' not in sys.modules;"
        "import numpy; p.image_grid(numpy.zeros((1, 4, 4), 'uint8'), ['x'], columns=1);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
