"""What pictures are drawn on: grids of images, figures, PNG bytes; nothing touches a file or pyplot's global state.

Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["as_drawable", "image_grid", "new_figure", "shorten", "to_png"]

import functools
import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

DPI = 100
CELL_INCHES = 0.8
GUTTER_INCHES = 0.1
CAPTION_INCHES = 0.15
TITLE_INCHES = 0.35
CAPTION_POINTS = 9
TITLE_POINTS = 11


def image_grid(
    images_NHW: npt.NDArray[np.uint8],
    captions: Sequence[str],
    *,
    columns: int,
    title: str = "",
    cell_inches: float = CELL_INCHES,
) -> bytes:
    """Draw images in rows, left to right, each under its caption.

    Args:
        images_NHW: uint8 `[N, H, W]`, or `[N, H, W, 3]` for RGB; drawn as stored, 0 is black. At least one.
        captions: N texts of one or more lines, shown literally; an empty one shows nothing.
        columns: images in a row, at least 1.
        title: a line above the grid.
        cell_inches: room for one image and its gutter; wider for long captions.

    Returns:
        A PNG file's bytes; the same input gives the same bytes on the same versions.

    Raises:
        ValueError: no images, another number of captions than images, or no columns.
    """
    if len(images_NHW) != len(captions) or not len(captions) or columns < 1:
        raise ValueError(f"{len(images_NHW)} images, {len(captions)} captions, {columns} columns")
    rows = -(-len(captions) // columns)
    cell_height = cell_inches + CAPTION_INCHES * (1 + max(caption.count("\n") for caption in captions))
    width, height = columns * cell_inches, rows * cell_height + (TITLE_INCHES if title else 0.0)
    figure = new_figure(width, height)
    for number, (image, caption) in enumerate(zip(images_NHW, captions, strict=True)):
        row, column = divmod(number, columns)
        left, bottom = column * cell_inches + GUTTER_INCHES / 2, (rows - 1 - row) * cell_height + GUTTER_INCHES / 2
        side = cell_inches - GUTTER_INCHES
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(as_drawable(caption), fontsize=CAPTION_POINTS, pad=2, parse_math=False)
    if title:
        words = as_drawable(title)
        figure.suptitle(words, y=1 - 0.1 / height, va="top", fontsize=TITLE_POINTS, parse_math=False)
    return to_png(figure)


def shorten(text: str, most: int) -> str:
    """Return a text of `most` characters at the most; where some are left out, the last one says so."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def as_drawable(text: str) -> str:
    """Return text with every character that the font lacks written as its code point, as Python escapes it.

    Drawn as they are they would all be the same box. `font.family` in the user's matplotlibrc names a font for them.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    _use_own_settings()
    families = FontProperties().get_family()
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    known = {char for char in set(text) if char == "\n" or any(font.get_char_index(ord(char)) for font in fonts)}
    return "".join(char if char in known else char.encode("ascii", "backslashreplace").decode() for char in text)


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return a figure of its own canvas: pyplot would keep every figure until it is closed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _use_own_settings()
    figure = Figure(figsize=(width_inches, height_inches), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


@functools.cache
def _use_own_settings() -> None:
    """Draw by the user's settings: Matplotlib prefers those of the working folder, which may be anybody's."""
    import matplotlib as mpl

    if os.path.isabs(mpl.matplotlib_fname()):  # noqa: PTH117 - a name, and the working folder's alone is relative
        return
    mpl.rcdefaults()
    own = os.path.join(mpl.get_configdir(), "matplotlibrc")  # noqa: PTH118 - as above
    if os.path.isfile(own):  # noqa: PTH113 - as above
        mpl.rcParams.update(mpl.rc_params_from_file(own, use_default_template=False))


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file's bytes, without the version of what drew it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
