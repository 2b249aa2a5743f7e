"""Ten layouts of one and the same 600 pictures are one data set: the same hash, the same training, the same accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import LAYOUTS, Writer, make_pictures
from small_training import begin, small_recipe

from toolkit.data import load_dataset
from toolkit.evaluation.evaluate import evaluate_run

SETTINGS = ("epochs=1", "conv1_channels=4", "conv2_channels=4", "hidden_units=8")


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[str, str, int]]:
    """What the layouts came to, one after another."""
    return {}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_the_same_data_the_same_run_and_the_same_accuracy(
    tmp_path: Path, layout: str, results: dict[str, tuple[str, str, int]]
) -> None:
    path = LAYOUTS[layout](Writer(make_pictures(), seed=len(results)), tmp_path / "digits")
    data = load_dataset(str(path))
    assert (len(data.train), len(data.test), data.classes) == (500, 100, tuple("0123456789"))
    report = begin(tmp_path, small_recipe(*SETTINGS), data=data)
    results[layout] = (data.sha256, report.checkpoint_sha256, evaluate_run(report.run, data).report.correct)
    assert len(set(results.values())) == 1, results
