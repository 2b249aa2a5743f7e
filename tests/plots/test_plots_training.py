"""Pictures of trainings: what is drawn, by looking at the figure before it becomes bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolkit.plots import training
from toolkit.plots.training import draw_history, draw_learning_curve
from toolkit.runs.history import EpochRow
from toolkit.tuning.curve_report import CurveReport, CurveTraining
from toolkit.tuning.fit import FitResult


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    figures: list[Any] = []
    to_png = training.to_png

    def keep(figure: Any) -> bytes:
        figures.append(figure)
        return to_png(figure)

    monkeypatch.setattr(training, "to_png", keep)
    return figures


def make_rows(*, is_validated: bool) -> list[EpochRow]:
    return [
        EpochRow(
            epoch=epoch,
            train_loss=1 / epoch,
            train_accuracy=1 - 0.3 / epoch,
            validation_loss=0.5 / epoch if is_validated else None,
            validation_accuracy=1 - 0.2 / epoch if is_validated else None,
            learning_rate=1e-3,
            seconds=1.0,
        )
        for epoch in range(1, 6)
    ]


def test_a_history_shows_both_losses_and_colours_each_axis_as_its_lines(drawn: list[Any]) -> None:
    assert draw_history(make_rows(is_validated=True)).startswith(b"\x89PNG")
    losses, accuracies = drawn[0].axes
    assert [line.get_label() for line in losses.lines] == ["training loss", "validation loss"]
    assert list(losses.lines[1].get_ydata()) == [0.5 / epoch for epoch in range(1, 6)]
    assert [line.get_label() for line in accuracies.lines] == ["validation accuracy"]
    for axes in (losses, accuracies):
        colors = {line.get_color() for line in axes.lines} | {axes.yaxis.label.get_color()}
        colors |= {label.get_color() for label in axes.get_yticklabels()}
        assert len(colors) == 1
    assert losses.yaxis.label.get_color() != accuracies.yaxis.label.get_color()


@pytest.mark.parametrize("is_validated", [True, False])
def test_a_legend_lies_over_the_axes_not_on_the_lines(is_validated: bool, drawn: list[Any]) -> None:
    draw_history(make_rows(is_validated=is_validated))
    draw_learning_curve(make_curve(seeds=2), title="t")
    for figure in drawn:
        (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
        assert legend.get_window_extent().y0 >= figure.axes[0].get_window_extent().y1


@pytest.mark.parametrize("is_validated", [True, False])
def test_no_axis_goes_on_beyond_100_percent_where_there_are_few_points(is_validated: bool, drawn: list[Any]) -> None:
    draw_history([replace(make_rows(is_validated=is_validated)[-1], train_accuracy=0.99)])
    draw_learning_curve(make_curve(seeds=20, sizes=(100,)), title="t")
    for axes in (drawn[0].axes[1], drawn[1].axes[0]):
        low, high = axes.get_ylim()
        assert 100 <= high < 101
        assert not [tick for tick in axes.get_yticks() if 100 < tick <= high]
        assert low < 100


def test_a_history_without_validation_shows_what_there_is(drawn: list[Any]) -> None:
    draw_history(make_rows(is_validated=False))
    labels = [line.get_label() for axes in drawn[0].axes for line in axes.lines]
    assert labels == ["training loss", "training accuracy"]


def make_curve(*, seeds: int, sizes: tuple[int, ...] = (100, 200)) -> CurveReport:
    trainings = [
        CurveTraining(
            size=size,
            seed=seed,
            result=FitResult(
                correct=80 + seed,
                count=100,
                train_correct=90 + seed,
                train_count=100,
                train_loss=0.1,
                epochs=1,
                steps=4,
                seconds=1.0,
            ),
        )
        for size in sizes
        for seed in range(seeds)
    ]
    settings = {"recipe": {"epochs": 1}, "fitted_to_size": [], "equal": "epochs", "validation_count": 100}
    return CurveReport(settings=settings, device="cpu", trainings=tuple(trainings))


def test_fewer_than_three_seeds_are_points_and_their_range(drawn: list[Any]) -> None:
    draw_learning_curve(make_curve(seeds=2), title="t")
    (axes,) = drawn[0].axes
    low, high = axes.get_ylim()
    assert 75 < low < high < 95  # nothing from 0 to 100 %
    assert "lowest to highest" in axes.get_ylabel()
    bars = [segment for item in axes.collections if hasattr(item, "get_segments") for segment in item.get_segments()]
    assert sorted({tuple(bar[:, 1]) for bar in bars}) == [(80.0, 81.0), (90.0, 91.0)]


def test_three_seeds_have_bands_and_one_seed_neither(drawn: list[Any]) -> None:
    draw_learning_curve(make_curve(seeds=3), title="t")
    draw_learning_curve(make_curve(seeds=1), title="t")
    assert ["band" in figure.axes[0].get_ylabel() for figure in drawn] == [True, False]
    assert "one seed" in drawn[1].axes[0].get_ylabel()
