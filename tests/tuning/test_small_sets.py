"""Small and odd data sets: what a training makes of them by default, and what it says of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands_here import exit_code_of
from idx_files import write_idx
from small_training import SMALL, Listener, begin, go_on, make_bars, take_stratified

from toolkit.artifacts import ArtifactStore
from toolkit.card import card_beside
from toolkit.data.dataset import Dataset, Split
from toolkit.data.load import load_mini
from toolkit.errors import StoppedError, UsageError
from toolkit.evaluation.evaluate import evaluate_run
from toolkit.training.config import TrainConfig
from toolkit.training.recipe_catalog import RECIPES, resolve_recipe
from toolkit.training.train import split_data, train
from toolkit.tuning.config import TuneConfig
from toolkit.tuning.curve_report import CurveReport
from toolkit.tuning.learning_curve import CurveConfig, measure_curve
from toolkit.tuning.search_space import parse_space
from toolkit.tuning.tune import tune

# Signals are a command's to hear.
pytestmark = pytest.mark.usefixtures("own_process")

TINY = [setting for setting in SMALL if not setting.startswith(("epochs", "batch_size"))]


class Reader(Listener):
    """Keeps the notes of a start."""

    notes: tuple[str, ...] = ()

    def on_start(self, *, notes: list[str], **more: Any) -> None:
        self.notes = tuple(notes)
        super().on_start(**more)


def stop_at_once(count: int) -> None:
    """Ask the training under way to save and leave after its first step."""
    if count == 1:
        os.kill(os.getpid(), signal.SIGTERM)


def make_shapes(count: int = 360, side: int = 32) -> Dataset:
    """Return a disc, a row or a column, bright in noise, at a random place; a sixth of the images are for testing."""
    random = np.random.default_rng(7)
    images, labels = random.integers(0, 90, (count, side, side), np.uint8), np.arange(count) % 3
    rows, columns = np.mgrid[:side, :side]
    for image, label in zip(images, labels, strict=True):
        row, column = random.integers(8, side - 8, 2)
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= random.integers(4, 7) ** 2
        image[(disc, abs(rows - row) <= 1, abs(columns - column) <= 1)[label]] = random.integers(150, 256)
    cut = count - count // 6
    parts = [Split(images=images[part], labels=labels[part]) for part in (slice(cut), slice(cut, None))]
    return Dataset(
        name="shapes",
        train=parts[0],
        test=parts[1],
        classes=("disc", "row", "column"),
        licence="x",
        polarity="any",
        fit="stretch",
    )


def judge_default(data: Dataset, root: Path, *, seed: int) -> float:
    """Train with the default recipe, nothing chosen, and return the test accuracy."""
    config = TrainConfig(recipe=RECIPES["fast"], seed=seed, device="cpu")
    report = train(data, config, store=ArtifactStore(root=root), listener=Listener())
    return evaluate_run(report.run, data).report.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_three_clear_classes_of_360_images_are_learnt_with_the_defaults(seed: int, tmp_path: Path) -> None:
    assert judge_default(make_shapes(), tmp_path, seed=seed) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_thirty_images_of_each_digit_are_learnt_with_the_defaults(seed: int, tmp_path: Path) -> None:
    mini = load_mini()
    data = replace(mini, train=take_stratified(mini.train, 30))
    assert judge_default(data, tmp_path, seed=seed) >= 0.8


def test_what_was_fitted_to_a_small_set_is_said_first_and_recorded(tmp_path: Path) -> None:
    recipe, listener = resolve_recipe("fast", settings=TINY), Reader(stop_at_once)
    with pytest.raises(StoppedError):
        begin(tmp_path, recipe, data=make_bars(100), listener=listener)
    used, fitted = listener.notes
    assert used == "80 images to train on, 20 held out, the last ones"
    assert fitted == (
        "fitted to 80 images: batch_size 256 -> 4, epochs 3 -> 15; 20 steps an epoch, 300 in all "
        "(--set batch_size=... chooses otherwise)"
    )
    config = ArtifactStore(root=tmp_path).latest_started_run() / "config.json"
    recorded = json.loads(config.read_text())
    assert (recorded["recipe"]["batch_size"], recorded["recipe"]["epochs"]) == (4, 15)
    assert recorded["training"]["fitted"] == {"batch_size": [256, 4], "epochs": [3, 15]}
    assert recorded["training"]["held_out"] == "the last ones"
    with pytest.raises(StoppedError):  # not an error: the recipe it was begun with is no drift
        go_on(tmp_path, data=make_bars(100), recipe=recipe, epochs="+1", listener=Reader(stop_at_once))
    again = json.loads(config.read_text())["training"]
    assert (again["fitted"], again["cycles"], again["drift"]) == (recorded["training"]["fitted"], [15, 1], [])


def test_what_was_chosen_is_not_fitted_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    listener = Reader()
    report = begin(tmp_path, resolve_recipe("fast", settings=SMALL), data=make_bars(100), listener=listener)
    assert len(report.rows) == 2
    assert len(listener.notes) == 1
    assert json.loads((report.run / "config.json").read_text())["training"]["fitted"] == {}


@pytest.mark.parametrize(("counts", "steps"), [((5, 5), 4), ((12, 3), 6), ((1, 9), 4)])
def test_a_handful_of_images_is_trained_on_every_class_of_it(
    counts: tuple[int, int], steps: int, tmp_path: Path
) -> None:
    labels = np.repeat(np.arange(2), counts)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28), np.uint8)
    split = Split(images=images, labels=labels)
    data = replace(make_bars(10), train=split, test=split)
    recipe, listener = resolve_recipe("fast", settings=[*TINY, "epochs=2"]), Reader()
    begin(tmp_path, recipe, data=data, listener=listener)
    assert listener.steps == steps
    assert set(split_data(data, all_data=False)[0].labels) == {0, 1}


def test_a_run_that_held_out_other_images_is_drift(tmp_path: Path) -> None:
    bars = make_bars(40)
    order = np.argsort(bars.train.labels, kind="stable")
    data = replace(bars, train=bars.train.take(order))
    run = begin(tmp_path, resolve_recipe("fast", settings=SMALL), data=data).run
    config = json.loads((run / "config.json").read_text())
    del config["training"]["held_out"]  # as earlier versions recorded it
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="held out was the last ones, is the last ones of every class"):
        go_on(tmp_path, data=data, epochs="+1")


class Deaf:
    """Hears everything of a curve or a search and keeps nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def test_a_learning_curve_trains_a_size_as_a_training_would() -> None:
    config = CurveConfig(recipe=resolve_recipe("fast", settings=TINY), sizes=(20,), seeds=1, device="cpu", threads=1)
    report = measure_curve(make_bars(100), config, listener=Deaf())
    assert [(row.size, row.epochs, row.steps) for row in report.rows()] == [(20, 60, 300)]
    assert "batch_size, epochs fitted to every size as a training fits them" in report.notes()
    assert CurveReport.from_json(json.loads(json.dumps(report.to_json()))).settings == report.settings


@pytest.mark.slow
def test_a_search_trains_every_fold_as_a_training_would(tmp_path: Path) -> None:
    space = parse_space(["dropout=0.1,0.2"], settled=[])
    config = TuneConfig(
        recipe=resolve_recipe("fast", settings=TINY),
        space=space,
        search="grid",
        trials=1,
        folds=2,
        device="cpu",
        threads=1,
    )
    report = tune(make_bars(100), config, path=tmp_path / "study.db", listener=Deaf())
    assert [(fold.train_count, fold.epochs, fold.steps) for fold in report.rows[0].folds] == [(50, 24, 312)] * 2


@pytest.mark.slow
def test_a_wrong_label_and_chance_are_warned_of_in_train_and_export_and_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "own").mkdir()
    for stem, count in (("train", 60), ("t10k", 30)):
        labels = (np.arange(count) % 3).astype(np.uint8)
        labels[7] = 9 if stem == "train" else labels[7]
        write_idx(tmp_path / "own" / f"{stem}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(tmp_path / "own" / f"{stem}-labels-idx1-ubyte", labels)
    for command in (["train", *(word for setting in SMALL for word in ("--set", setting))], ["export"]):
        arguments = [*command, "--data", str(tmp_path / "own"), "--json"]
        assert exit_code_of(*arguments, debug=False) == 0
        told = capsys.readouterr()
        warnings = json.loads(told.out)["warnings"]
        assert "6 of 10 classes (3, 4, 5, 6, 7, 8) have no training image" in warnings[0]
        assert warnings[0].endswith("the rarest, 9, has 1")
        assert "no better than always answering '0' (10 of 30)" in warnings[-1]
        assert any("the card has no guard" in warning for warning in warnings) == (command[0] == "export")
        assert [line for line in told.err.splitlines() if line.startswith("warning: ")] == [
            f"warning: {warning}" for warning in warnings
        ]
    model = next((ArtifactStore.default().root / "models").glob("*.onnx"))
    assert json.loads(card_beside(model).read_text())["data"]["empty_classes"] == ["3", "4", "5", "6", "7", "8"]
