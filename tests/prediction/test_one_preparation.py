"""A picture comes to a model's input in one way, whoever asks: `evaluate`, `predict`, `Classifier`, the gallery."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands_here import exit_code_of
from PIL import Image

from toolkit import Classifier
from toolkit.cli.actions import evaluate as evaluate_action
from toolkit.data.load import load_mini
from toolkit.data.pictures import StoredPictures, load_pictures
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.run import run_prediction

PAPER, INK = 235, 30
EACH = 6


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture of an evaluation is looked at here, and to draw them takes longer than all else."""
    monkeypatch.setattr(evaluate_action, "_draw", lambda *_, **__: {})


def scan(digit: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A digit in dark ink somewhere on a white page, 160 high and 140 wide."""
    side = int(rng.integers(90, 121))
    ink = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float64) / 255
    page = np.full((160, 140), float(PAPER))
    top, left = (int(rng.integers(5, length - side - 4)) for length in page.shape)
    page[top : top + side, left : left + side] -= (PAPER - INK) * ink
    return Image.fromarray(page.astype(np.uint8))


@pytest.fixture(scope="module")
def scans(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty scans, six a digit in folders 0 to 9, that the briefly trained model reads rightly."""
    folder, rng, test = tmp_path_factory.mktemp("desk") / "scans", np.random.default_rng(0), load_mini().test
    with Classifier(model_path) as classifier:
        for label in range(10):
            pages = [scan(test.images[place], rng) for place in np.flatnonzero(test.labels == label)[: 4 * EACH]]
            right = np.flatnonzero(classifier.predict(pages).class_indices == label)[:EACH]
            (folder / str(label)).mkdir(parents=True)
            for number, place in enumerate(right):
                pages[place].save(folder / str(label) / f"{label}-{number}.png")
    assert len(list(folder.rglob("*.png"))) == 10 * EACH
    return folder


def evaluate(capsys: pytest.CaptureFixture[str], target: Path, folder: Path, *more: str) -> dict[str, Any]:
    arguments = ["evaluate", str(target), "--data", str(folder), "--json", *more]
    assert exit_code_of(*arguments) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_sixty_scans_are_sixty_of_sixty_by_each(
    trained_run: Path, model_path: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (trained_run, model_path):
        report = evaluate(capsys, target, scans)
        assert (report["correct"], report["count"]) == (60, 60)
        assert "brought to the model's input: 60 of 60 images, the first: inverted: dark" in str(report["notes"])
    config = PredictionConfig(
        model=model_path,
        inputs=(scans,),
        output=tmp_path / "rows.csv",
        truths="filename",
        gallery=tmp_path / "least.png",
    )
    predicted = run_prediction(config)
    assert (predicted.num_right, predicted.num_truths) == (60, 60)
    paths = sorted(scans.rglob("*.png"))
    with Classifier(model_path) as classifier:
        assert classifier.predict(paths).labels == tuple(path.parent.name for path in paths)
        spec = classifier.card.input
    pictures = load_pictures(
        str(scans), trained_on={"sha256": "", "train_count": 5_000, "test_count": 1_000}, size=(28, 28)
    )
    images, _ = pictures.prepare(spec)
    assert isinstance(pictures.pictures, StoredPictures)
    store, places = pictures.pictures
    judged = {store.title(place): image for place, image in zip(places.tolist(), images, strict=True)}
    assert all(np.array_equal(judged[item.source], item.image) for item in predicted.gallery)


def test_a_folder_that_is_only_judged_may_have_any_of_the_classes(
    model_path: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in "37":
        shutil.copytree(scans / label, tmp_path / "some" / label)
    report = evaluate(capsys, model_path, tmp_path / "some")
    assert (report["correct"], report["count"], report["dataset"]) == (12, 12, "some")
    shutil.rmtree(tmp_path / "some" / "7")
    (tmp_path / "some" / "3" / "3-0.png").rename(tmp_path / "one.png")
    assert evaluate(capsys, model_path, tmp_path / "some")["count"] == 5
    classless = ["evaluate", str(model_path), "--data", str(tmp_path / "some" / "3")]
    assert exit_code_of(*classless, debug=False) == 3
    assert "holds 5 pictures and no class folders, so nothing says what they show" in capsys.readouterr().err


def test_arrays_are_brought_to_the_input_too(
    model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = load_mini().test.take(np.arange(200))
    plain, inverted = tmp_path / "plain.npz", tmp_path / "inverted.npz"
    for path, images in ((plain, test.images), (inverted, 255 - np.pad(test.images, ((0, 0), (10, 10), (4, 4))))):
        np.savez(path, train_images=images, train_labels=test.labels, test_images=images, test_labels=test.labels)
    before, after = (evaluate(capsys, model_path, path)["correct"] for path in (plain, inverted))
    assert before == pytest.approx(after, abs=2), "placed anew, a digit may move by a pixel"
    assert before > 180


def test_a_folder_that_was_trained_on_is_judged_on_what_was_held_out(tmp_path: Path) -> None:
    from image_folders import load_image_folder

    for label in range(2):
        for number in range(12):
            path = tmp_path / "own" / "ab"[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 16), 100 * label + number, np.uint8)).save(path)
    data = load_image_folder(tmp_path / "own")
    notes: list[str] = []
    own = {"sha256": data.sha256, "train_count": 16, "test_count": 4, "source": str(tmp_path / "own")}

    def load() -> Any:
        notes.clear()
        return load_pictures(str(tmp_path / "own"), trained_on=own, size=(16, 16), on_note=notes.append)

    assert (len(load().labels), load().sha256) == (4, data.sha256)
    assert "is what the model was trained on: the 4 images held out are judged" in notes[0]
    (tmp_path / "own" / "a" / "new.png").write_bytes((tmp_path / "own" / "a" / "0.png").read_bytes())
    assert (len(load().labels), load().sha256) == (25, "")
    assert "warning: the model was trained on" in notes[-1]
