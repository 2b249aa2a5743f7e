"""Pictures of answers: an evaluation's confusion matrix, mistakes and first answers, a prediction's least sure.

Shapes: N images, H rows, W columns, K classes.
"""

from __future__ import annotations

__all__ = ["draw_confusion", "draw_first", "draw_gallery", "draw_mistakes"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from toolkit.counts import count_of
from toolkit.plots.canvas import CELL_INCHES, as_drawable, image_grid, new_figure, shorten, to_png

if TYPE_CHECKING:
    from toolkit.evaluation.evaluate import Answer
    from toolkit.prediction.report import GalleryPicture, PredictionReport

COLUMNS = 10
MOST_MISTAKES = 50
MOST_CLASSES = 100
# Class names are cut to this many characters; two names longer than this together stand on two lines.
NAME_LENGTH = 18
SHORT_NAMES = 6
# Inches that a character of a caption takes, rounded up.
CHARACTER_INCHES = 0.075
RIGHT_COLOUR = (0.90, 0.94, 0.98)
DARK_SHARE = 0.6
GALLERY_CELL_INCHES = 1.1
LONGEST_LABEL = 12


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str], *, title: str) -> bytes:
    """Draw the confusion matrix: counts, true classes down, predicted ones across.

    Of more than 100 classes those with the most errors are shown: a matrix of 1,000 would be a picture of 22,000 pixels
    a side, which takes more memory than most machines have.

    Only the errors are coloured, by their share of the most frequent error, so that they are seen next to a diagonal
    that is a hundred times as large. Empty cells stay empty.

    Args:
        confusion: `[true class][predicted class]` counts, K by K.
        classes: K names.
        title: a line above the matrix.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib import colormaps

    counts = np.array(confusion)
    if len(classes) > MOST_CLASSES:
        errors = counts - np.diag(counts.diagonal())
        shown = np.sort(np.argsort(-(errors.sum(axis=0) + errors.sum(axis=1)), kind="stable")[:MOST_CLASSES])
        title = f"{title}; the {MOST_CLASSES} of {len(classes):,} classes with the most errors"
        counts, classes = counts[np.ix_(shown, shown)], [classes[index] for index in shown]
    size, names = len(classes), [_cut(name) for name in classes]
    cell = max(0.22, min(14 / size, max(0.55, 4 / size)))
    side = size * cell + 1.0 + CHARACTER_INCHES * max(map(len, names))
    figure = new_figure(max(side, 4.5), side)
    axes = figure.add_subplot(111)
    errors = np.where(np.eye(size, dtype=bool), 0, counts)
    shares = errors / max(1, errors.max())
    # A single error must still be seen: the scale begins at a visible pink.
    colours = colormaps["Reds"](np.where(errors, 0.2 + 0.7 * shares, 0.0))[..., :3]
    colours[errors == 0] = 1.0
    colours[np.eye(size, dtype=bool)] = RIGHT_COLOUR
    axes.imshow(colours, interpolation="nearest")
    points = min(10.0, 72 * cell / (0.7 * max(3, len(str(counts.max())))))
    for row, column in np.argwhere(counts):
        ink = "white" if shares[row, column] > DARK_SHARE else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=points)
    _name_axes(axes, names)
    figure.suptitle(as_drawable(title), y=1 - 0.1 / side, va="top", fontsize=11, parse_math=False)
    figure.tight_layout(rect=(0.0, 0.0, 1.0, 1 - 0.35 / side))
    return to_png(figure)


def draw_mistakes(images_NHW: npt.NDArray[np.uint8], mistakes: Sequence[Answer], *, count: int) -> bytes:
    """Draw the first of the mistakes, each as `7 (was 2)` with the probability of the wrong class under it.

    Args:
        images_NHW: uint8 `[N, H, W]` or `[N, H, W, 3]`, every image of the split.
        mistakes: at least one, worst first.
        count: images judged, for the title.

    Returns:
        A PNG file's bytes.
    """
    shown = mistakes[:MOST_MISTAKES]
    every = f"all {len(shown)} mistakes" if len(shown) > 1 else "the only mistake"
    which = f"the worst {len(shown)} of {len(mistakes):,} mistakes" if len(shown) < len(mistakes) else every
    title = f"{which} in {count_of(count, 'test image')}: predicted (was true), probability"
    return _draw_answers(images_NHW, shown, title=title)


def draw_first(images_NHW: npt.NDArray[np.uint8], answers: Sequence[Answer]) -> bytes:
    """Draw the first test images with their predictions; a wrong one says what it was.

    Args:
        images_NHW: uint8 `[N, H, W]` or `[N, H, W, 3]`, every image of the split.
        answers: at least one.

    Returns:
        A PNG file's bytes.
    """
    which = f"the first {len(answers)} test images" if len(answers) > 1 else "the only test image"
    title = f"{which}: predicted, probability"
    return _draw_answers(images_NHW, answers, title=title)


def draw_gallery(report: PredictionReport) -> bytes:
    """Draw a report's gallery, least sure first, each picture as the model saw it under its label and probability.

    Where a file's or a folder's name tells another class, the caption reads "7 (was 2)", as in the tutorial.

    Returns:
        A PNG file's bytes.
    """
    pictures = report.gallery
    shown = (
        f"the {len(pictures)} least sure of {report.num_ok:,}" if len(pictures) < report.num_ok else "least sure first"
    )
    score = report.score
    right = f", {score['correct']:,} of {score['count']:,} right" if score is not None and score["count"] else ""
    return image_grid(
        np.stack([picture.image for picture in pictures]),
        [_gallery_caption(picture) for picture in pictures],
        columns=min(COLUMNS, len(pictures)),
        title=f"{report.model.stem}: {shown}{right}",
        cell_inches=GALLERY_CELL_INCHES,
    )


def _draw_answers(images_NHW: npt.NDArray[np.uint8], answers: Sequence[Answer], *, title: str) -> bytes:
    captions = [f"{_caption(answer)}\n{100 * answer.probability:.1f} %" for answer in answers]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    images = images_NHW[[answer.index for answer in answers]]
    # Long class names get wider cells and fewer of them in a row.
    cell = max(CELL_INCHES, longest * CHARACTER_INCHES)
    columns = max(1, int(COLUMNS * CELL_INCHES / cell))
    return image_grid(images, captions, columns=columns, title=title, cell_inches=COLUMNS * CELL_INCHES / columns)


def _caption(answer: Answer) -> str:
    """Return `7 (was 2)`; on two lines where the names are long, the class alone where the answer is right."""
    predicted, label = _cut(answer.predicted), _cut(answer.label)
    if answer.predicted == answer.label:
        return predicted
    short = len(predicted) + len(label) <= SHORT_NAMES
    return f"{predicted} (was {label})" if short else f"{predicted}\n(was {label})"


def _cut(name: str) -> str:
    return shorten(as_drawable(name), NAME_LENGTH)


def _name_axes(axes: Axes, names: Sequence[str]) -> None:
    points = 9 if len(names) <= 30 else 7
    turned = 90 if max(map(len, names)) > 3 else 0
    axes.set_xticks(range(len(names)), names, fontsize=points, rotation=turned, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=points, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.tick_params(which="both", length=0)
    axes.grid(which="minor", color="0.85", linewidth=0.5)


def _gallery_caption(picture: GalleryPicture) -> str:
    was = f" (was {shorten(picture.truth, LONGEST_LABEL)})" if picture.truth not in {"", picture.label} else ""
    return f"{shorten(picture.label, LONGEST_LABEL)}{was}\n{100 * picture.probability:.1f} %"
