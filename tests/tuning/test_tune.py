"""Searches: seeded, resumable at any point, honest about what failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bar_images import make_bars, tiny_recipe, write_bars
from commands_here import exit_code_of

from toolkit.data.dataset import Split
from toolkit.errors import DataError, ProviderError, ResourceError, StoppedError, UsageError
from toolkit.plots import training as tuning_pictures
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.tuning.config import TuneConfig
from toolkit.tuning.fit import FitResult
from toolkit.tuning.search_space import parse_space
from toolkit.tuning.study import TrialRow, make_sampler, open_study, rank_trials, settled_rows
from toolkit.tuning.tune import TuneReport, best_recipe, tune

# Signals are a command's to hear.
pytestmark = pytest.mark.usefixtures("same_threads", "own_process")

tuning = import_module("toolkit.tuning.tune")

BARS = make_bars()
SPACE = ("learning_rate=1e-4..1e-1:log", "batch_size=8,16", "dropout=0.1..0.6")


class Listener:
    """Counts what it hears, and sends this process a signal after so many steps."""

    def __init__(self, *, stop_after: int = 0) -> None:
        self.rows: list[TrialRow] = []
        self.settled: list[int] = []
        self._steps_left = stop_after

    def on_start(self, *, study: Path, settled: int, trials: int, images: int) -> None:
        self.settled.append(settled)

    def on_step(self, done: int, total: int | None) -> None:
        self._steps_left -= 1
        if self._steps_left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_trial(self, row: TrialRow, *, settled: int, trials: int) -> None:
        self.rows.append(row)


def config_of(*space: str, **changes: Any) -> TuneConfig:
    settings = {"trials": 3, "folds": 2, "device": "cpu", "threads": 1, "recipe": tiny_recipe(), **changes}
    return TuneConfig(space=parse_space(space or SPACE), **settings)


def search(path: Path, config: TuneConfig, *, listener: Listener | None = None) -> TuneReport:
    return tune(BARS, config, path=path, listener=listener or Listener())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TuneReport:
    """A search that was never stopped."""
    return search(tmp_path_factory.mktemp("whole") / "study.db", config_of())


def test_a_study_depends_on_what_is_fitted_to_its_part_of_the_images() -> None:
    recipe = replace(tiny_recipe(), batch_size=8, follows_size=("batch_size",))
    assert config_of(recipe=recipe).settings(BARS) != config_of(recipe=replace(recipe, follows_size=())).settings(BARS)


def outcomes(report: TuneReport) -> list[Any]:
    """What a trial is, without its number and how long it took."""
    return [
        (dict(row.point), row.state, [(fold.correct, fold.train_loss) for fold in row.folds]) for row in report.rows
    ]


def test_the_same_seed_searches_the_same_points_and_another_seed_others(whole: TuneReport, tmp_path: Path) -> None:
    assert len(whole.rows) == 3
    assert outcomes(search(tmp_path / "a.db", config_of())) == outcomes(whole)
    other = search(tmp_path / "b.db", config_of(seed=1, trials=1))
    assert other.rows[0].point != whole.rows[0].point


def test_a_stopped_search_goes_on_as_if_it_had_not_been_stopped(whole: TuneReport, tmp_path: Path) -> None:
    per_trial = sum(fold.steps for fold in whole.rows[0].folds)
    with pytest.raises(StoppedError, match=r"trial 2 is run again; go on with .* --study") as stopped:
        search(tmp_path / "part.db", config_of(), listener=Listener(stop_after=per_trial + 2))
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    listener = Listener()
    assert outcomes(search(tmp_path / "part.db", config_of(), listener=listener)) == outcomes(whole)
    assert listener.settled == [1]
    assert len(listener.rows) == 2


def test_more_trials_go_on_and_as_many_as_there_are_train_nothing(tmp_path: Path) -> None:
    short = search(tmp_path / "a.db", config_of(trials=1))
    longer = search(tmp_path / "a.db", config_of(trials=2))
    assert outcomes(longer)[:1] == outcomes(short)
    listener = Listener()
    again = search(tmp_path / "a.db", config_of(trials=2), listener=listener)
    assert listener.rows == []
    assert again.rows == longer.rows


def test_a_grid_tries_every_point_once_over_several_calls(tmp_path: Path) -> None:
    space = ("learning_rate=1e-3,1e-2", "optimizer=adam,adamw")
    search(tmp_path / "a.db", config_of(*space, search="grid", trials=3))
    listener = Listener()
    report = search(tmp_path / "a.db", config_of(*space, search="grid", trials=0), listener=listener)
    assert len(listener.rows) == 1
    points = {(row.point["learning_rate"], row.point["optimizer"]) for row in report.rows}
    assert len(report.rows) == 4
    assert points == {(rate, name) for rate in (1e-3, 1e-2) for name in ("adam", "adamw")}


def test_a_grid_goes_through_its_range_in_a_random_order_that_the_seed_decides(tmp_path: Path) -> None:
    """A search cut short has then seen all of the range."""

    def order(name: str, seed: int) -> list[Any]:
        config = config_of("learning_rate=1e-3..1e-2/12", search="grid", trials=4, seed=seed, folds=1)
        return [row.point["learning_rate"] for row in search(tmp_path / name, config).rows]

    first = order("a.db", 0)
    assert first == order("b.db", 0)
    assert first != order("c.db", 1)
    assert first != sorted(first)


@pytest.mark.parametrize("after_trials", [0, 3])
def test_a_stopped_grid_tries_the_point_that_was_under_way_too(tmp_path: Path, after_trials: int) -> None:
    config = config_of("learning_rate=1e-3,1e-2", "optimizer=adam,adamw", search="grid", trials=0, folds=1)
    steps = 96 // 16  # images to train on, in batches
    with pytest.raises(StoppedError, match=f"trial {after_trials + 1} is run again"):
        search(tmp_path / "a.db", config, listener=Listener(stop_after=after_trials * steps + 1))
    report = search(tmp_path / "a.db", config)
    assert [row.state for row in report.rows] == ["done"] * 4
    assert len({tuple(sorted(row.point.items())) for row in report.rows}) == 4


def test_an_error_that_is_no_points_own_ends_the_search_and_settles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ProviderError("the device is gone")

    config = config_of("learning_rate=1e-3..1e-2/5", search="grid", trials=0, folds=1)
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "fit", fail)
        for _ in range(3):
            with pytest.raises(ProviderError, match="the device is gone"):
                search(tmp_path / "a.db", config)
    assert len({row.point["learning_rate"] for row in search(tmp_path / "a.db", config).rows}) == 5


@pytest.mark.parametrize(("kind", "trials"), [("grid", 2), ("tpe", 3)])
def test_a_trial_whose_process_is_gone_counts_for_nothing(
    kind: str, trials: int, whole: TuneReport, tmp_path: Path
) -> None:
    config = config_of(*(["learning_rate=1e-3,1e-2"] if kind == "grid" else SPACE), search=kind)
    with open_study(tmp_path / "a.db", config.settings(BARS)) as study:
        study.sampler = make_sampler(config, 0)
        study.ask()
        assert settled_rows(study) == []
    report = search(tmp_path / "a.db", config)
    assert [row.state for row in report.rows] == ["done"] * trials
    if kind == "grid":
        assert sorted(row.point["learning_rate"] for row in report.rows) == [1e-3, 1e-2]
    else:
        assert outcomes(report) == outcomes(whole)


def test_going_on_otherwise_lists_the_differences(tmp_path: Path) -> None:
    search(tmp_path / "a.db", config_of(trials=1))
    other = tiny_recipe("label_smoothing=0.2", "epochs=2")
    space = (*SPACE[:2], "dropout=0.1..0.7")
    with pytest.raises(UsageError) as refused:
        search(tmp_path / "a.db", config_of(*space, trials=1, folds=3, recipe=other))
    for words in (
        "folds was 2, now 3",
        "recipe epochs was 1, now 2",
        "recipe label_smoothing was 0.05, now 0.2",
        "space dropout was 0.1..0.6, now 0.1..0.7",
    ):
        assert words in str(refused.value)
    assert "learning_rate" not in str(refused.value)
    fewer = replace(BARS, train=Split(images=BARS.train.images[:100], labels=BARS.train.labels[:100]))
    with pytest.raises(UsageError, match="data was"):
        tune(fewer, config_of(trials=1), path=tmp_path / "a.db", listener=Listener())


def test_what_cannot_be_trained_is_a_failed_trial_and_the_search_goes_on(tmp_path: Path) -> None:
    config = config_of("kernel_size=3,13", "learning_rate=1e-3,99", search="grid", trials=0, recipe=tiny_recipe())
    report = search(tmp_path / "a.db", config)
    failed = {
        (row.point["kernel_size"], row.point["learning_rate"]): row.reason
        for row in report.rows
        if row.state == "failed"
    }
    assert len(report.rows) == 4
    assert {key for key in failed if key[0] == 13} == {(13, 1e-3), (13, 99.0)}
    assert "too small for kernel 13" in failed[13, 1e-3]
    assert report.best is not None
    assert report.best.point["kernel_size"] == 3
    listener = Listener()
    assert search(tmp_path / "a.db", config, listener=listener).rows == report.rows
    assert listener.rows == []


def test_a_loss_that_is_not_finite_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.training import session

    nan = torch.tensor(float("nan"))
    monkeypatch.setattr(session, "standardise", lambda training: (nan.expand(training.image_shape), torch.tensor(1.0)))
    report = search(tmp_path / "a.db", config_of(trials=2))
    assert [row.state for row in report.rows] == ["failed", "failed"]
    assert "loss is nan at step 1 of epoch 1" in report.rows[0].reason
    assert report.best is None
    assert best_recipe(report, tiny_recipe()) is None


def test_a_point_met_again_is_not_trained_again(tmp_path: Path) -> None:
    report = search(tmp_path / "a.db", config_of("batch_size=8,16", trials=4))
    trained = [row for row in report.rows if row.repeats is None]
    assert len(trained) <= 2
    for row in report.rows:
        if row.repeats is not None:
            assert report.rows[row.repeats].folds == row.folds
            assert row.seconds == 0


def test_only_training_images_are_used_and_every_one_is_judged(whole: TuneReport, tmp_path: Path) -> None:
    blank = replace(BARS, test=Split(images=np.zeros_like(BARS.test.images), labels=BARS.test.labels))
    without = tune(blank, config_of(trials=1), path=tmp_path / "a.db", listener=Listener())
    assert outcomes(without) == outcomes(whole)[:1]
    assert sum(fold.count for fold in whole.rows[0].folds) == 120
    part = search(tmp_path / "c.db", config_of(trials=1, max_images=60, folds=3))
    assert [fold.count for fold in part.rows[0].folds] == [20, 20, 20]
    held = search(tmp_path / "d.db", config_of(trials=1, folds=1))
    assert [(fold.train_count, fold.count) for fold in held.rows[0].folds] == [(96, 24)]


def test_the_ranking_is_by_mean_accuracy_and_failures_come_last() -> None:
    def row(number: int, state: str, *right: int) -> TrialRow:
        folds = tuple(
            FitResult(
                correct=count, count=100, train_loss=1, train_correct=None, train_count=1, epochs=1, steps=1, seconds=1
            )
            for count in right
        )
        return TrialRow(number=number, state=state, point={}, folds=folds)

    rows = [
        row(0, "failed"),
        row(1, "done", 50, 60),
        row(3, "done", 80, 90),
        row(4, "done", 60, 50),
    ]
    assert [item.number for item in rank_trials(rows)] == [3, 1, 4, 0]
    assert rows[2].accuracy == pytest.approx(0.85)
    assert rows[2].standard_error == pytest.approx(0.05)  # stdev 0.0707 over the root of 2
    assert row(0, "done", 50).standard_error == pytest.approx(0.05)  # root of 0.5 * 0.5 / 100


def test_a_study_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    config = config_of(trials=1)
    held = open_study(tmp_path / "a.db", config.settings(BARS))
    with held, pytest.raises(ResourceError, match="another process"):
        search(tmp_path / "a.db", config)
    assert len(search(tmp_path / "a.db", config).rows) == 1


def test_a_file_that_is_no_study_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"these are my notes, not a data base" * 100)
    with pytest.raises(DataError, match="no study"):
        search(path, config_of(trials=1))
    assert path.read_bytes().startswith(b"these are my notes")
    with pytest.raises(ResourceError, match="cannot use the study"):
        search(tmp_path, config_of(trials=1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search": "gird"}, "did you mean 'grid'"),
        ({"folds": 0}, "folds is 0"),
        ({"trials": -1}, "trials is -1"),
        ({"seed": -1}, "the seed is -1"),
        ({"search": "grid"}, "needs a number of points"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        config_of(**changes)


def test_more_folds_than_images_are_refused_before_a_study_is_begun(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot make 200 folds of 120"):
        search(tmp_path / "a.db", config_of(folds=200))
    assert not (tmp_path / "a.db").exists()


SMALL = [
    "--data",
    "mnist-mini",
    "--max-images",
    "200",
    "--folds",
    "2",
    "--epochs",
    "1",
    "--device",
    "cpu",
    "--threads",
    "1",
]
SMALL += ["--set", "conv1_channels=2", "--set", "conv2_channels=2", "--set", "hidden_units=8"]
VARIED = ["--space", "learning_rate=1e-3..1e-1:log", "--space", "optimizer=adam,adamw"]


def test_the_command_leaves_a_report_pictures_and_a_recipe_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of("tune", *SMALL, *VARIED, "--trials", "2", "--study", "mine", "--json") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["schema"] == "toolkit/tune/1"
    assert report["test_images_used"] == 0
    assert "the test images were not touched" in captured.err
    accuracies = [row["accuracy"] for row in report["rows"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {"command", "environment", "best"} <= set(report)
    assert len(report["rows"][0]["folds"]) == 2
    assert (tmp_path / "artifacts" / "tune" / "mine.db").exists()
    reports = tmp_path / "artifacts" / "reports"
    pictures = list(reports.glob("tune-mine-*.png"))
    assert len(pictures) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    best = Path(report["best_recipe"])
    assert f"learning_rate = {report['best']['values']['learning_rate']!r}" in best.read_text()
    assert resolve_recipe(str(best)).learning_rate == report["best"]["values"]["learning_rate"]
    assert (
        exit_code_of(
            "train",
            "--recipe",
            str(best),
            "--data",
            str(write_bars(tmp_path)),
            "--epochs",
            "1",
            "--threads",
            "1",
            "--json",
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["run"]


def test_a_search_in_which_all_fails_ends_in_1_after_its_report_which_comes_before_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reports: list[Path] = []

    def look_and_fail(*_: object) -> bytes:
        reports.extend((tmp_path / "artifacts" / "reports").glob("tune-*.json"))
        raise MemoryError

    monkeypatch.setattr(tuning_pictures, "draw_search_history", look_and_fail)
    space = ["--space", "kernel_size=13,15", "--search", "grid"]
    assert exit_code_of("tune", *SMALL, *space, "--json") == 1
    captured = capsys.readouterr()
    assert [json.loads(path.read_text()) for path in reports] == [json.loads(captured.out)]
    assert [row["state"] for row in json.loads(captured.out)["rows"]] == ["failed", "failed"]
    assert "none of 2 trials succeeded" in captured.err


def test_a_study_without_a_name_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert exit_code_of("tune", *SMALL, *VARIED, "--study", " ", debug=False) == 2
    assert "--study is empty" in capsys.readouterr().err
    assert not (tmp_path / "artifacts" / "tune").exists()


def test_a_missing_optuna_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """FAULTS 36."""
    for name in [name for name in sys.modules if name.split(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert exit_code_of("tune", *SMALL, *VARIED, debug=False) == 5
    assert "onnx-parity-toolkit[tune]" in capsys.readouterr().err


def test_a_killed_search_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FAULTS 21, of a study: the trials before the kill are kept, the one under way is run again."""
    arguments = ["tune", *SMALL, *VARIED, "--trials", "3", "--study", str(tmp_path / "s.db")]
    process = subprocess.Popen([sys.executable, "-m", "toolkit", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if line.startswith("trial 1 of 3"):
                first = line
                break
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert exit_code_of(*arguments, "--json") == 0
    captured = capsys.readouterr()
    assert ": 0 of 3 trials done" not in captured.err
    rows = json.loads(captured.out)["rows"]
    assert [row["state"] for row in rows] == ["done"] * 3
    kept = next(row for row in rows if row["number"] == 0)
    assert f"{100 * kept['accuracy']:.2f} %" in first
