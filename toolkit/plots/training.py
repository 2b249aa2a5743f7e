"""Trainings, searches and learning curves to PNG bytes."""

from __future__ import annotations

__all__ = ["draw_history", "draw_learning_curve", "draw_search_fields", "draw_search_history"]

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.plots.canvas import as_drawable, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from toolkit.runs.history import EpochRow
    from toolkit.tuning.curve_report import CurveReport
    from toolkit.tuning.search_space import Dimension
    from toolkit.tuning.study import TrialRow

LOSS, ACCURACY = "tab:red", "tab:blue"
PANEL_INCHES = (3.4, 2.8)
MOST_COLUMNS = 3
# Beyond this many points a range is drawn to scale, not one place a point.
MOST_PLACES = 8


def draw_history(rows: Sequence[EpochRow]) -> bytes:
    """Draw losses and accuracy against the epoch on twin axes, each in its own colour.

    Args:
        rows: the history; what was measured on the validation images is drawn where there are some, else the accuracy
            while training.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.0, 4.3)
    loss_axes = figure.add_subplot(111)
    accuracy_axes = loss_axes.twinx()
    epochs = [row.epoch for row in rows]
    lines = loss_axes.plot(epochs, [row.train_loss for row in rows], "o-", color=LOSS, label="training loss")
    judged = [row for row in rows if row.validation_loss is not None and row.validation_accuracy is not None]
    if judged:
        places = [row.epoch for row in judged]
        losses = [row.validation_loss or 0.0 for row in judged]
        lines += loss_axes.plot(places, losses, "o--", color=LOSS, fillstyle="none", label="validation loss")
        shares = [100 * (row.validation_accuracy or 0.0) for row in judged]
        lines += accuracy_axes.plot(places, shares, "s-", color=ACCURACY, label="validation accuracy")
    else:
        shares = [100 * row.train_accuracy for row in rows]
        lines += accuracy_axes.plot(epochs, shares, "s-", color=ACCURACY, label="training accuracy")
    loss_axes.set_xlabel("epoch")
    loss_axes.set_ylim(bottom=0)
    _end_at_100(accuracy_axes)
    for axes, words, color in ((loss_axes, "mean loss", LOSS), (accuracy_axes, "accuracy, %", ACCURACY)):
        axes.set_ylabel(words, color=color)
        axes.tick_params(axis="y", colors=color)
    loss_axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    # Over the axes: inside them it hides points of one line or the other.
    loss_axes.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    figure.tight_layout()
    return to_png(figure)


def draw_search_history(rows: Sequence[TrialRow]) -> bytes:
    """Draw every trial's accuracy with its standard error, the best so far, and where trials failed.

    Args:
        rows: in the order of their running.

    Returns:
        A PNG file's bytes.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.0, 4.0)
    axes = figure.add_subplot(111)
    done = [(place, row) for place, row in enumerate(rows, start=1) if row.state == "done"]
    places, accuracies = [place for place, _ in done], [100 * row.accuracy for _, row in done]
    errors = [100 * row.standard_error for _, row in done]
    told = "trial, 1 standard error"
    axes.errorbar(places, accuracies, yerr=errors, fmt="o", color="tab:blue", capsize=2, label=told)
    best = [max(accuracies[: index + 1]) for index in range(len(accuracies))]
    axes.step(places, best, where="post", color="tab:red", label="best so far")
    failed = [place for place, row in enumerate(rows, start=1) if row.state == "failed"]
    for place in failed:
        axes.axvline(place, color="tab:gray", linestyle=":", label="failed" if place == failed[0] else None)
    axes.set(xlabel="trial", ylabel="validation accuracy, %", xlim=(0.5, len(rows) + 0.5))
    _end_at_100(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    figure.tight_layout()
    return to_png(figure)


def draw_search_fields(rows: Sequence[TrialRow], space: Sequence[Dimension]) -> bytes:
    """Draw accuracy against each varied field, a panel each, later trials darker.

    Args:
        rows: in the order of their running.
        space: the varied fields, at least one.

    Returns:
        A PNG file's bytes.
    """
    columns = min(MOST_COLUMNS, len(space))
    lines = math.ceil(len(space) / columns)
    figure = new_figure(PANEL_INCHES[0] * columns + 0.4, PANEL_INCHES[1] * lines)
    done = [row for row in rows if row.state == "done"]
    for number, dimension in enumerate(space):
        axes = figure.add_subplot(lines, columns, number + 1)
        places = _place_values(axes, dimension, values=[row.point[dimension.key] for row in done])
        errors = [100 * row.standard_error for row in done]
        heights = [100 * row.accuracy for row in done]
        axes.errorbar(places, heights, yerr=errors, fmt="none", ecolor="lightgray", zorder=1)
        axes.scatter(
            places, heights, c=range(len(done)), cmap="Blues", vmin=-len(done), edgecolors="tab:blue", zorder=2
        )
        axes.set_xlabel(dimension.key)
        _end_at_100(axes)
        if number % columns == 0:
            axes.set_ylabel("validation accuracy, %")
    figure.suptitle("the later a trial, the darker; bars: 1 standard error", fontsize=9)
    figure.tight_layout()
    return to_png(figure)


def draw_learning_curve(report: CurveReport, *, title: str) -> bytes:
    """Draw training and validation accuracy against training-set size.

    Every training is a point. The means have 95 % bands where every size has seeds enough for them; of fewer the range
    of the points is drawn, because their interval would reach from 0 to 100 %.

    Args:
        report: the curve.
        title: a line above.

    Returns:
        A PNG file's bytes.
    """
    figure = new_figure(7.0, 4.4)
    axes = figure.add_subplot(111)
    rows = report.rows()
    sizes = [row.size for row in rows]
    at = [item.size for item in report.trainings]
    train = [item.result.train_correct or 0 for item in report.trainings]
    reached = [right / item.result.train_count for right, item in zip(train, report.trainings, strict=True)]
    axes.scatter(at, [100 * share for share in reached], s=16, color=LOSS, linewidths=0)
    axes.scatter(at, [100 * item.result.accuracy for item in report.trainings], s=16, color=ACCURACY, linewidths=0)
    ends = [(row.train_ci95, row.validation_ci95) for row in rows]
    if not report.has_intervals:
        ends = [(row.train_range, row.validation_range) for row in rows]
    means = ([row.train_accuracy for row in rows], [row.validation_accuracy for row in rows])
    for kind, (label, color) in enumerate((("training", LOSS), ("validation", ACCURACY))):
        lows, highs = ([100 * pair[kind][side] for pair in ends] for side in (0, 1))
        if report.has_intervals:
            axes.fill_between(sizes, lows, highs, color=color, alpha=0.2, linewidth=0)
        else:
            axes.vlines(sizes, lows, highs, color=color, alpha=0.5)
        axes.plot(sizes, [100 * share for share in means[kind]], "o-", color=color, label=f"{label} accuracy")
    axes.set_xscale("log")
    axes.set_xticks(sizes, labels=[f"{size:,}" for size in sizes])
    axes.minorticks_off()
    several = "bar: lowest to highest seed" if any(row.seeds > 1 for row in rows) else "one seed"
    extent = "band: 95 %" if report.has_intervals else several
    axes.set(xlabel="training images", ylabel=f"accuracy, % ({extent})")
    axes.grid(visible=True, alpha=0.3)
    _end_at_100(axes)
    # Over the axes, where it hides no point.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    figure.suptitle(as_drawable(title), fontsize=10, parse_math=False)
    figure.tight_layout()
    return to_png(figure)


def _end_at_100(axes: Axes) -> None:
    """Let an axis of percents end a marker's width above 100: around few points matplotlib goes on to 104."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 100 + 0.03 * (100 - low)))


def _place_values(axes: Axes, dimension: Dimension, *, values: Sequence[Any]) -> Sequence[float]:
    """Return where values lie on an axis, and label it: words and short lists one place each, ranges to scale."""
    if dimension.values and (dimension.bounds is None or len(dimension.values) <= MOST_PLACES):
        axes.set_xticks(range(len(dimension.values)), labels=[_short(value) for value in dimension.values])
        axes.set_xlim(-0.5, len(dimension.values) - 0.5)
        return [dimension.values.index(value) for value in values]
    assert dimension.bounds is not None
    low, high = map(float, dimension.bounds)
    if dimension.log:
        # matplotlib labels a range of under two decades at every tick, one over the other.
        ratio = high / low
        axes.set_xscale("log")
        axes.set_xticks(ticks := [low, low * ratio**0.5, high], labels=[_short(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(low / ratio**0.05, high * ratio**0.05)
    else:
        axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    return list(values)


def _short(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
