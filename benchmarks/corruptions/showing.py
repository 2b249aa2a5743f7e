"""What was judged on corrupted images: a table, sentences, and a picture of the images.

Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["corruptions_table", "describe_corruptions", "draw_corruptions"]

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from corruptions.judging import CorruptionRow, CorruptionsReport
from toolkit.evaluation.accuracy import AccuracyReport
from toolkit.plots.canvas import CELL_INCHES, as_drawable, new_figure, to_png

STYLES = {"better": "green", "worse": "red", "undecided": ""}


def corruptions_table(report: CorruptionsReport, *, names: tuple[str, str | None]) -> Table:
    """Return a row for each set of images; the other model's columns only where there is one.

    Args:
        report: the rows.
        names: of the model and of the other one, None without it.
    """
    compared = names[1] is not None
    table = Table(
        title=f"{names[0]} on {report.dataset}, seed {report.seed}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("images")
    heads = ["count", "accuracy %", "95 % interval"]
    for head in [*heads, *(["against %", "95 % interval", "difference", "p"] if compared else [])]:
        table.add_column(head, justify="right")
    if compared:
        table.add_column("")
    for row in report.rows:
        table.add_row(row.family, *_figures(row), *(_comparison(row) if compared else ()))
    return table


def describe_corruptions(report: CorruptionsReport, *, names: tuple[str, str | None]) -> list[str]:
    """Return the mean over the families, the verdicts, and why a row was skipped."""
    summary = report.summarise()
    families, mean = summary["families"], 100 * summary["mean_accuracy"]
    lines = [f"mean over the {summary['families_in_mean']} corrupted sets that no recipe trains on: {mean:.2f} %"]
    if names[1] is not None:
        other = 100 * summary["mean_accuracy_against"]
        lines[0] += f", {names[1]} {other:.2f} %, difference {mean - other:+.2f} points"
        lines.append(
            f"at p < 0.05 (exact McNemar tests, corrected for {families} of them by Holm) better in "
            f"{summary['better']} of {families}, worse in {summary['worse']}, undecided in {summary['undecided']}"
        )
    return [*lines, *(f"{row.family} skipped: {row.reason}" for row in report.rows if row.reason)]


def _figures(row: CorruptionRow) -> tuple[str, ...]:
    if row.report is None:
        return ("skip", "", "")
    return (f"{row.report.count:,}", *_percent(row.report))


def _comparison(row: CorruptionRow) -> tuple[str | Text, ...]:
    if row.against is None or row.paired is None or row.verdict is None:
        return ("", "", "", "", "")
    p_value = row.paired.p_value if row.p_holm is None else row.p_holm
    verdict = Text(row.verdict, STYLES[row.verdict])
    return (*_percent(row.against), f"{100 * row.paired.difference:+.2f}", f"{p_value:.2g}", verdict)


def _percent(report: AccuracyReport) -> tuple[str, str]:
    low, high = report.interval
    return f"{100 * report.accuracy:.2f}", f"{100 * low:.2f} to {100 * high:.2f}"


def draw_corruptions(rows: Mapping[str, npt.NDArray[np.uint8]], *, title: str) -> bytes:
    """Draw one row of images for each family, named in front of it.

    Args:
        rows: family to uint8 `[N, H, W]` or `[N, H, W, 3]`, the same N, at least 1, in each.
        title: a line above the rows.

    Returns:
        A PNG file's bytes.
    """
    columns = len(next(iter(rows.values())))
    margin, top, cell = 1.1, 0.4, CELL_INCHES
    width, height = margin + columns * cell, top + len(rows) * cell
    figure = new_figure(width, height)
    for row, (name, images) in enumerate(rows.items()):
        strip = np.concatenate([_framed(image) for image in images], axis=1)
        bottom = height - top - (row + 1) * cell
        axes = figure.add_axes((margin / width, bottom / height, columns * cell / width, cell / height))
        axes.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        figure.text(0.1 / width, (bottom + cell / 2) / height, name, va="center", fontsize=10, parse_math=False)
    words = as_drawable(title)
    figure.suptitle(words, x=0.1 / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=11, parse_math=False)
    return to_png(figure)


def _framed(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return an image with one white pixel around it."""
    sides = ((1, 1), (1, 1), (0, 0))[: image.ndim]
    return np.pad(image, sides, constant_values=255)
