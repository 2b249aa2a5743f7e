"""A picture of figures comes after them: what cannot be drawn is told, and loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from small_training import SMALL, begin, make_bars, small_recipe

from toolkit.api.evaluate import evaluate
from toolkit.api.train import train
from toolkit.cli.actions.evaluate import describe_mistakes, write_evaluation
from toolkit.cli.actions.train import TrainingListener
from toolkit.cli.commands import bench
from toolkit.cli.commands.learning_curve import CurveRecorder
from toolkit.cli.output import Output, draw_picture
from toolkit.errors import ResourceError
from toolkit.plots import bench as bench_pictures
from toolkit.plots import evaluation, training


def fail() -> bytes:
    raise MemoryError


def test_a_picture_that_cannot_be_drawn_is_told_and_takes_an_earlier_one_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "picture.png"
    assert draw_picture(path, lambda: b"drawn")
    assert path.read_bytes() == b"drawn"
    assert not draw_picture(path, fail)
    assert not path.exists()
    expected = f"warning: there is no picture {path}: it cannot be drawn (MemoryError); all figures are written\n"
    assert capsys.readouterr().err == expected


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResourceError):
        draw_picture(tmp_path / "file" / "picture.png", lambda: b"drawn")


def test_an_evaluation_is_written_before_its_pictures_and_without_those_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, bars = begin(tmp_path, small_recipe("epochs=1")).run, make_bars()
    path = run / "evaluation.json"
    written: list[dict[str, str]] = []

    def look_and_fail(*_: object, **__: object) -> bytes:
        written.append(json.loads(path.read_text())["pictures"])
        raise ValueError("image size of 22000x22000 pixels is too large\nand more")

    monkeypatch.setattr(evaluation, "draw_confusion", look_and_fail)
    report = write_evaluation(evaluate(run, bars), path=path)
    assert written == [{}]
    assert report == json.loads(path.read_text())
    assert report["count"] == len(bars.test)
    assert "confusion" not in report["pictures"]
    assert Path(report["pictures"]["first"]).exists()
    assert describe_mistakes({"pictures": {}, "mistakes": []})[1:] == ["picture none"]


def test_a_training_goes_on_without_its_history_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw(rows: list[object]) -> bytes:
        drawn.append(len(rows))
        return fail()

    monkeypatch.setattr(training, "draw_history", draw)
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path))
    report = train(make_bars(), recipe=small_recipe(), device="cpu", threads=1, listener=TrainingListener(Output()))
    assert len(report.rows) == 2
    assert drawn[-1] == 2
    assert not (report.run / "history.png").exists()


def test_a_bench_names_no_picture_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_pictures, "draw_bench", lambda _: fail())
    request = bench.BenchRequest(picture=tmp_path / "bench.png")
    report = SimpleNamespace(to_json=dict)
    target = tmp_path / "bench.json"
    assert bench._write(report, request, target=target) == str(target)  # type: ignore[arg-type]  # all that is looked at


def test_a_learning_curve_is_written_before_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, written = tmp_path / "curve.json", []

    def look_and_fail(*_: object, **__: object) -> bytes:
        written.append(json.loads(path.read_text())["trainings"])
        return fail()

    monkeypatch.setattr(training, "draw_learning_curve", look_and_fail)
    about = {"data": {"name": "own"}, "recipe": {"name": "fast"}}
    report = SimpleNamespace(settings=about, rows=list, to_json=lambda: {"trainings": 3})
    with Output().progress("training") as bar:
        assert CurveRecorder(Output(), bar, path=path).save(report) is None  # type: ignore[arg-type]  # all that is looked at
    assert written == [3]


MEASURE = """
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
def test_a_thousand_classes_are_trained_judged_and_drawn_within_4_gb(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(1000), 12)
    images = random.integers(0, 256, (len(labels), 28, 28), np.uint8)
    data = tmp_path / "many.npz"
    np.savez(data, train_images=images, train_labels=labels, test_images=images[:2000], test_labels=labels[:2000])
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(tmp_path / "artifacts")}
    settings = [word for setting in (*SMALL, "epochs=1", "batch_size=256") for word in ("--set", setting)]
    run: Callable[[], Path] = lambda: next((tmp_path / "artifacts" / "runs").iterdir())  # noqa: E731 - made by the first
    for command in (["train", "--data", str(data), *settings], ["evaluate", "--data", str(data)]):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, sys.executable, "-m", "toolkit", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stderr.splitlines()[-1]) < 4 << 20  # KiB
        assert len(json.loads((run() / "evaluation.json").read_text())["confusion"]) == 1000
        with Image.open(run() / "confusion.png") as picture:
            assert max(picture.size) < 3000
    assert "the most frequent confusions first" in done.stdout
