"""Learning curves: one validation set, nested subsets, intervals that fit, nothing lost in a kill."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bar_images import make_bars, tiny_recipe
from commands_here import exit_code_of

from toolkit.data.dataset import Split
from toolkit.errors import DataError, StoppedError, UsageError
from toolkit.intervals import t_interval, wilson_interval
from toolkit.tuning import learning_curve
from toolkit.tuning.curve_report import CurveReport
from toolkit.tuning.learning_curve import CurveConfig, measure_curve, parse_sizes

# Signals are a command's to hear.
pytestmark = pytest.mark.usefixtures("same_threads", "own_process")

BARS = make_bars()


class Listener:
    """Keeps the last report; sends this process a signal once so many trainings are done."""

    def __init__(self, *, stop_after: int = 0) -> None:
        self.report: dict[str, Any] = {}
        self.count = 0
        self._stop_after = stop_after

    def on_start(self, report: CurveReport, *, trainings: int) -> None: ...

    def on_step(self, done: int, total: int | None) -> None:
        if self._stop_after and self.count == self._stop_after:
            self._stop_after = 0  # a second signal would end this process at once
            os.kill(os.getpid(), signal.SIGTERM)

    def on_training(self, report: CurveReport, *, trainings: int) -> None:
        self.count += 1
        self.report = report.to_json()


def measure(listener: Listener | None = None, *, before: dict[str, Any] | None = None, **changes: Any) -> CurveReport:
    settings = {"recipe": tiny_recipe(), "sizes": (20, 60, None), "seeds": 2, "device": "cpu", "threads": 1, **changes}
    return measure_curve(BARS, CurveConfig(**settings), listener=listener or Listener(), before=before)


def facts(report: CurveReport) -> list[Any]:
    return [
        (item.size, item.seed, item.result.correct, item.result.train_correct, item.result.train_loss)
        for item in report.trainings
    ]


def test_every_size_is_judged_on_the_same_held_out_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Split, Split]] = []
    fit = learning_curve.fit

    def spy(training: Split, validation: Split, *arguments: Any, **options: Any) -> Any:
        seen.append((training, validation))
        return fit(training, validation, *arguments, **options)

    monkeypatch.setattr(learning_curve, "fit", spy)
    measure(seeds=1)
    assert [len(training) for training, _ in seen] == [20, 60, 96]
    assert all(np.array_equal(validation.images, BARS.train.images[96:]) for _, validation in seen)
    images = [{image.tobytes() for image in training.images} for training, _ in seen]
    assert images[0] < images[1] < images[2]
    assert not images[2] & {image.tobytes() for image in BARS.train.images[96:]}


def test_the_intervals_are_wilsons_for_one_seed_and_students_for_several() -> None:
    single, several = measure(seeds=1, sizes=(60,)), measure(seeds=3, sizes=(60,))
    (row,) = single.rows()
    result = single.trainings[0].result
    assert row.validation_ci95 == wilson_interval(result.correct, 24)
    assert row.train_ci95 == wilson_interval(result.train_correct or 0, 60)
    assert row.validation_std is None
    (row,) = several.rows()
    shares = [item.result.accuracy for item in several.trainings]
    assert row.validation_accuracy == pytest.approx(np.mean(shares))
    assert row.validation_std == pytest.approx(np.std(shares, ddof=1))
    assert row.validation_ci95 == t_interval(shares)
    assert [item["interval"] for item in (*single.to_json()["rows"], *several.to_json()["rows"])] == ["wilson", "t"]


def test_equal_epochs_by_default_and_equal_steps_when_asked() -> None:
    assert [(row.epochs, row.steps) for row in measure(seeds=1).rows()] == [(1, 2), (1, 4), (1, 6)]
    report = measure(seeds=1, equal_steps=True)
    # 6 steps of the largest: three epochs of 2, two of 4 (rounded up to whole epochs), one of 6.
    assert [(row.epochs, row.steps) for row in report.rows()] == [(3, 6), (2, 8), (1, 6)]
    assert report.to_json()["equal"] == "steps"
    assert "6 steps, rounded up" in " ".join(report.notes())


def test_the_same_seed_gives_the_same_curve() -> None:
    assert facts(measure()) == facts(measure())
    assert facts(measure(seed=5)) != facts(measure())


def test_a_stopped_curve_keeps_what_is_done_and_goes_on() -> None:
    whole, listener = measure(), Listener(stop_after=2)
    with pytest.raises(StoppedError, match="with 96 images and seed 0") as stopped:
        measure(listener)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert [item["size"] for item in listener.report["trainings"]] == [20, 60]
    rest = Listener()
    assert facts(measure(rest, before=json.loads(json.dumps(listener.report)))) == facts(whole)
    assert rest.count == 4


def test_a_curve_goes_on_with_more_sizes_but_not_with_another_recipe() -> None:
    before = measure(sizes=(20,), seeds=1).to_json()
    listener = Listener()
    assert [row.size for row in measure(listener, before=before, sizes=(20, 60), seeds=1).rows()] == [20, 60]
    assert listener.count == 1
    with pytest.raises(UsageError, match="differs in recipe"):
        measure(before=before, recipe=tiny_recipe("dropout=0.1"))
    with pytest.raises(DataError, match="no report of a learning curve"):
        measure(before={"schema": "toolkit/learning-curve/1"})
    with pytest.raises(DataError, match="the schema is 'toolkit/bench/1'"):
        measure(before={"schema": "toolkit/bench/1"})


def test_without_sizes_the_usual_ones_are_taken_as_far_as_there_are_images(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row.size for row in measure(sizes=None, seeds=1).rows()] == [96]
    monkeypatch.setattr("toolkit.tuning.learning_curve.USUAL_SIZES", (20, 60, 96, 97))
    assert [row.size for row in measure(sizes=None, seeds=1).rows()] == [20, 60, 96]


@pytest.mark.parametrize(
    ("key", "value"), [("size", "x"), ("correct", None), ("count", 0), ("seconds", [1]), ("steps", True), ("seed", -1)]
)
def test_a_report_with_figures_of_no_training_is_refused(key: str, value: object) -> None:
    before = measure(sizes=(20,), seeds=1).to_json()
    before["trainings"][0][key] = value
    with pytest.raises(DataError, match=f"no report of a learning curve: {key} of a training is"):
        measure(sizes=(20,), seeds=1, before=before)


def test_test_images_change_nothing() -> None:
    blank = replace(BARS, test=Split(images=np.zeros_like(BARS.test.images), labels=BARS.test.labels))
    config = CurveConfig(recipe=tiny_recipe(), sizes=(60,), seeds=1, device="cpu")
    assert facts(measure_curve(blank, config, listener=Listener())) == facts(measure(sizes=(60,), seeds=1))


def test_sizes_are_read_and_checked() -> None:
    assert parse_sizes("500, 1_000,all") == (500, 1000, None)
    for text in ("500,", "5", "many", "-500", "1e3", "1.5"):
        with pytest.raises(UsageError, match="is no size"):
            parse_sizes(text)
    with pytest.raises(UsageError, match="a size is 97, but 96 training images are left"):
        measure(sizes=(97,))
    with pytest.raises(UsageError, match="each once"):
        measure(sizes=(20, 20))
    with pytest.raises(UsageError, match="at least 1 seed"):
        measure(seeds=0)


def test_the_command_saves_its_report_row_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--data", "mnist-mini", "--epochs", "1", "--device", "cpu", "--threads", "1", "--seeds", "1"]
    small += ["--set", "conv1_channels=2", "--set", "conv2_channels=2", "--set", "hidden_units=8"]
    run = ["learning-curve", *small, "--sizes", "50,100", "--json"]
    assert exit_code_of(*run) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["schema"] == "toolkit/learning-curve/1"
    assert [row["size"] for row in report["rows"]] == [50, 100]
    assert {"command", "environment"} <= set(report)
    assert "the test images were not touched" in captured.err
    (path,) = (tmp_path / "artifacts" / "reports").glob("learning-curve-mnist-mini-fast+epochs=1+*.json")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    again = ["learning-curve", *small, "--sizes", "50,100,200", "--resume", str(path)]
    assert exit_code_of(*again) == 0
    assert "2 of 3 trainings done" in capsys.readouterr().out
    assert len(json.loads(path.read_text())["trainings"]) == 3
