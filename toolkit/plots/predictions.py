"""Predictions as a contact sheet."""

from __future__ import annotations

__all__ = ["draw_gallery"]


import numpy as np

from toolkit.plots.canvas import digit_grid, shorten
from toolkit.prediction.report import GalleryPicture, PredictionReport

COLUMNS = 10
CELL_INCHES = 1.1
LONGEST_LABEL = 12


def draw_gallery(report: PredictionReport) -> bytes:
    """Draw a report's gallery, least sure first, each picture as the model saw it under its label and probability.

    Where the file's name tells another class than the answer, the caption reads "7 (was 2)", as in the tutorial.

    Returns:
        A PNG file's bytes.
    """
    pictures = report.gallery
    shown = (
        f"the {len(pictures)} least sure of {report.num_ok:,}" if len(pictures) < report.num_ok else "least sure first"
    )
    score = report.score
    right = f", {score['correct']:,} of {score['count']:,} right" if score is not None and score["count"] else ""
    return digit_grid(
        np.stack([picture.image for picture in pictures]),
        [_caption(picture) for picture in pictures],
        columns=min(COLUMNS, len(pictures)),
        title=f"{report.model.stem}: {shown}{right}",
        cell_inches=CELL_INCHES,
    )


def _caption(picture: GalleryPicture) -> str:
    was = f" (was {shorten(picture.truth, LONGEST_LABEL)})" if picture.truth not in {"", picture.label} else ""
    return f"{shorten(picture.label, LONGEST_LABEL)}{was}\n{100 * picture.probability:.1f} %"
