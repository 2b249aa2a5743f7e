"""`toolkit.train`, `evaluate`, and the data that they take; what they leave in the program's process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import begin, make_bars, small_recipe

import toolkit
from toolkit.api.data import load_recorded
from toolkit.errors import DataError, UsageError

BARS = make_bars()
ARRAYS = (BARS.train.images, BARS.train.labels), (BARS.test.images, BARS.test.labels)
HOW: dict[str, Any] = {"recipe": small_recipe(), "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(autouse=True)
def _one_store(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(root))


@pytest.fixture(scope="module")
def run(root: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_ARTIFACTS", str(root))
        return toolkit.train(ARRAYS, **HOW)


def test_a_training_tells_every_epoch_and_returns_its_run(root: Path) -> None:
    heard: list[str] = []
    report = toolkit.train(BARS, **HOW, name="told", on_epoch=lambda row: heard.append(str(row)))
    assert heard == [row.describe() for row in report.rows]
    assert heard[1].startswith("epoch 2  loss ")
    assert os.fspath(report) == str(root / "runs" / "told")
    assert report.accuracy == report.evaluation.correct / report.evaluation.count
    written = json.loads((report.run / "evaluation.json").read_text())
    assert written["command"] == report.command
    assert written["accuracy"] == report.accuracy
    recipe = f"<Recipe {HOW['recipe'].name}>"
    assert report.command == f"toolkit.train(<Dataset bars>, recipe={recipe}, name='told', device='cpu', threads=1)"
    assert f"run told: test accuracy {report.evaluation.figures.describe()}" in repr(report)
    assert not list(report.run.glob("*.png"))


def test_a_run_goes_on_with_the_arrays_that_its_report_has_at_hand() -> None:
    run = toolkit.train(ARRAYS, **HOW)
    longer = toolkit.train(resume=run, epochs="+1")
    assert longer.run == run.run
    assert len(longer.rows) == 3
    with pytest.raises(UsageError, match=r"'arrays' is not in the catalogue; name its folder or file with data=$"):
        toolkit.train(resume=str(run.run), epochs="+1")
    with pytest.raises(UsageError, match="all_data= is settled when a run begins; it cannot change with resume="):
        toolkit.train(resume=run, all_data=True)


def test_an_evaluation_of_a_run_is_its_training_s(run: Any, root: Path) -> None:
    report = toolkit.evaluate(run)
    assert (report.correct, report.count, report.interval) == (
        run.evaluation.correct,
        20,
        run.evaluation.interval,
    )
    assert report.command == f"toolkit.evaluate({str(run.run)!r})"
    assert len(report.mistakes) == report.count - report.correct
    assert not (root / "reports").exists()  # nothing is written that nobody asked for


def test_arrays_without_a_test_part_are_judged_all(run: Any) -> None:
    images, labels = BARS.test.images[:7], BARS.test.labels[:7]
    report = toolkit.evaluate(run, (images.copy(), labels))
    assert (report.count, report.is_test) == (7, False)
    assert report.notes[0] == "arrays has no test part: all of its 7 images are judged"
    assert repr(report).startswith(f"run {run.run.name}: accuracy ")


def test_what_was_left_out_of_a_folder_is_said_where_it_is_named_not_where_it_is_recorded(tmp_path: Path) -> None:
    class Hearing(toolkit.Listener):
        def note(self, words: str) -> None:
            heard.append(words)

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = np.full((20, 20), 40 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    heard: list[str] = []
    recorded = {"name": tmp_path.name, "source": str(tmp_path)}
    loaded = load_recorded(None, recorded, listener=Hearing(), size=(20, 20))
    assert heard == []
    again = load_recorded(tmp_path, recorded, listener=Hearing(), size=(20, 20))
    assert loaded.sha256 == again.sha256
    assert "left out 1 file of other names" in heard[0]


def test_arrays_are_left_as_they_were_and_become_the_same_data_set() -> None:
    before = [array.copy() for pair in ARRAYS for array in pair]
    data = toolkit.train(ARRAYS, **HOW).data
    assert all((a == b).all() for a, b in zip(before, (array for pair in ARRAYS for array in pair), strict=True))
    assert data is not None
    assert sorted(map(bytes, data.train.images)) == sorted(map(bytes, BARS.train.images))
    assert data.classes == ("0", "1")


def test_words_as_labels_name_the_classes() -> None:
    labels = np.array(["row", "column"])[BARS.train.labels]
    data = toolkit.train((BARS.train.images, labels), **HOW).data
    assert data is not None
    assert set(data.classes) == {"row", "column"}
    assert len(data.test) == 16


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (3, UsageError, "the data are of type int; expected a name, a path"),
        ("nowhere", UsageError, "no data set, file or folder 'nowhere'"),
        ((BARS.train.images,), UsageError, "the data are a tuple of 1: ndarray; expected .images, labels."),
        ((BARS.train.images, BARS.train.labels[:-1]), DataError, "100 images but 99 labels: image 99 has no partner"),
        ((BARS.train.images[0], BARS.train.labels), DataError, r"train images has shape \[28, 28\]"),
        ((BARS.train.images / 255, BARS.train.labels), DataError, "between 0 and 1; multiply them by 255"),
        ((BARS.train.images, BARS.train.labels / 2), DataError, "train labels is float64"),
        ((BARS.train.images[:0], BARS.train.labels[:0]), DataError, "holds no training images"),
        (([[1, 2], [3]], [0, 1]), UsageError, "cannot be read as a NumPy array"),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_the_step(data: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        toolkit.train(data, **HOW)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"set": {"dropuot": 0.3}}, "set=: unknown recipe key 'dropuot' .did you mean 'dropout'"),
        ({"set": "dropuot=0.3"}, "set=: unknown recipe key 'dropuot' .did you mean 'dropout'"),
        ({"epochs": "+3"}, r"epochs=\+3 adds to a run; name it with resume=, or write epochs=3"),
        ({"epochs": 2.5}, "epochs is '2.5'; expected a whole number"),
        ({"allow_drift": True}, "allow_drift= belongs to resume="),
        ({"size": "x"}, "size='x' is no size"),
        ({"recipe": "fasst"}, "did you mean 'fast'"),
        ({"name": "../x"}, "a run cannot be called"),
    ],
)
def test_refusals_name_keyword_arguments(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        toolkit.train("mnist-mini", **words)


@pytest.mark.usefixtures("run")  # torch's optimizers name a cache in the environment when they are first used
def test_a_training_leaves_the_program_s_process_as_it_was() -> None:
    """Torch's random numbers, threads, types and switches; signals, environment, streams, threads; no pictures."""
    torch.set_default_dtype(torch.float64)
    before_seed, flags = torch.random.get_rng_state(), torch.backends.cudnn.allow_tf32
    threads, environment = torch.get_num_threads(), dict(os.environ)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen: list[Any] = []

    def look(_: object) -> None:
        seen.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))

    try:
        toolkit.train(BARS, recipe=small_recipe(), device="cpu", threads=threads + 1, on_epoch=look)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert seen == handlers * 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert torch.equal(torch.random.get_rng_state(), before_seed)
    assert torch.get_num_threads() == threads
    assert torch.backends.cudnn.allow_tf32 == flags
    assert dict(os.environ) == environment
    assert "matplotlib.pyplot" not in sys.modules


def test_what_a_callback_raises_ends_the_training_and_the_run_can_go_on(root: Path) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toolkit.train(BARS, **HOW, name="stopped", on_epoch=stop)
    assert torch.get_num_threads() > 0
    longer = toolkit.train(BARS, resume=root / "runs" / "stopped")
    assert [row.epoch for row in longer.rows] == [1, 2]


def test_trainings_of_several_threads_take_turns_and_are_those_of_one() -> None:
    reports: list[Any] = []
    work = [threading.Thread(target=lambda: reports.append(toolkit.train(BARS, **HOW))) for _ in range(2)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len({report.trained.checkpoint_sha256 for report in reports}) == 1
    assert len({report.run for report in reports}) == 2


@pytest.mark.parametrize("surroundings", ["plain", "autocast", "inference"])
def test_a_program_s_training_is_bit_for_bit_the_command_s(
    surroundings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, whose rounded weights autocast keeps until the outermost context ends: one is open around it."""
    monkeypatch.setattr("toolkit.training.session.has_fast_bfloat16", lambda *_, **__: True)
    recipe = small_recipe("precision=auto", "epochs=4")
    around = {
        "plain": contextlib.nullcontext(),
        "autocast": torch.autocast("cpu", dtype=torch.bfloat16),
        "inference": torch.inference_mode(),
    }[surroundings]
    with around:
        report = toolkit.train(BARS, recipe=recipe, device="cpu", threads=1)
    monkeypatch.setattr("toolkit.environment._Process.is_own", True)
    threads = torch.get_num_threads()
    try:
        assert begin(tmp_path, recipe).checkpoint_sha256 == report.trained.checkpoint_sha256
    finally:
        torch.set_num_threads(threads)
    losses = [row.train_loss for row in report.rows]
    assert losses[-1] < losses[0]
