"""The parity matrix as a heat map."""

from __future__ import annotations

__all__ = ["draw_parity"]

import math
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from toolkit.plots.canvas import as_drawable, new_figure, to_png

if TYPE_CHECKING:
    from toolkit.parity.report import ParityReport, ParityRow

ROW_INCHES = 0.3
COLUMN_INCHES = 1.1
LABEL_INCHES = 3.2
HEADER_INCHES = 0.7
POINTS = 9
# The darkest cell is at the bound, the lightest at a thousandth of it.
LIGHTEST = 1e-3
WORDS = {"pass": "pass", "fail": "FAIL", "refused": "refused", "undecided": "undecided", "skip": "skip"}


def draw_parity(report: ParityReport) -> bytes:
    """Draw every row's largest logit error on each suite as a share of the bound.

    Returns:
        A PNG file's bytes.
    """
    suites = list(dict.fromkeys(name for row in report.rows for name in row.suites))
    columns = len(suites) + 1
    width, height = LABEL_INCHES + columns * COLUMN_INCHES, HEADER_INCHES + len(report.rows) * ROW_INCHES
    figure = new_figure(width, height)
    axes = figure.add_axes(
        (LABEL_INCHES / width, 0, columns * COLUMN_INCHES / width, len(report.rows) * ROW_INCHES / height)
    )
    axes.set(xlim=(0, columns), ylim=(len(report.rows), 0), yticks=[])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set_xticks([index + 0.5 for index in range(columns)], ["verdict", *suites], fontsize=POINTS)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for line, row in enumerate(report.rows):
        axes.text(-0.05, line + 0.5, as_drawable(_label(row)), ha="right", va="center", fontsize=POINTS)
        _fill(
            axes,
            (0, line),
            text=WORDS[row.status],
            colour={"fail": "tab:red", "pass": "white"}.get(row.status, "lightgrey"),
        )
        for column, suite in enumerate(suites, start=1):
            _draw_cell(axes, (column, line), suite=row.suites.get(suite))
    title = f"parity {report.verdict.upper()}: largest logit error / bound, against {report.reference}"
    figure.suptitle(title, x=0.1 / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=POINTS + 2)
    return to_png(figure)


def _label(row: ParityRow) -> str:
    settings = [row.provider if row.runtime != row.provider else "", f"threads {row.threads}" if row.threads else ""]
    settings += [row.precision, f"optimisation {row.optimisation}" if row.optimisation else ""]
    return f"{row.runtime}  {', '.join(filter(None, settings))}"


def _draw_cell(axes: Axes, place: tuple[int, int], *, suite: dict[str, float | None] | None) -> None:
    error, bound = (None, None) if suite is None else (suite["max_abs_logit_error"], suite["bound"])
    if error is None or not bound:
        _fill(
            axes,
            place,
            text="" if suite is None else "no values",
            colour="lightgrey" if suite is None else "tab:red",
        )
        return
    share = error / bound
    if share > 1:
        _fill(axes, place, text=f"{share:.2g}", colour="tab:red")
        return
    darkness = 1 - math.log10(max(share, LIGHTEST)) / math.log10(LIGHTEST)
    _fill(
        axes,
        place,
        text=f"{share:.2g}",
        colour=(1 - 0.8 * darkness, 1 - 0.5 * darkness, 1 - 0.2 * darkness),
    )


def _fill(axes: Axes, place: tuple[int, int], *, text: str, colour: str | tuple[float, float, float]) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(place, 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
    axes.text(place[0] + 0.5, place[1] + 0.5, text, ha="center", va="center", fontsize=POINTS)
