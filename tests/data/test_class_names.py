"""Classes matched by name wherever a data set and a model, or two models, both carry them."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands_here import exit_code_of
from image_folders import load_image_folder
from imaging_samples import encode
from small_training import begin, go_on, make_bars, small_recipe
from tiny_models import build_card, build_model

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions import evaluate as evaluate_action
from toolkit.data import Dataset, load_dataset
from toolkit.data.dataset import adopt_classes
from toolkit.data.labels import match_classes
from toolkit.errors import DataError
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.export import export_run
from toolkit.prediction.truths import tell_truth
from toolkit.runs.run import read_run

SIDE = 16
COMPOSED, DECOMPOSED = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture of an evaluation is looked at here, and to draw them takes longer than all else."""
    monkeypatch.setattr(evaluate_action, "_draw", lambda *_, **__: {})


def save_bands(folder: Path, *classes: str, name: str = "bands") -> Path:
    """A model whose k-th class is a picture with its k-th band of rows the brightest."""
    card = build_card(height=SIDE, width=SIDE, classes=classes, polarity="any", fit="stretch")
    path = folder / f"{name}.onnx"
    path.write_bytes(
        build_model(height=SIDE, width=SIDE, classes=len(classes), card=card).SerializeToString(deterministic=True)
    )
    return path


def draw_bands(labels: np.ndarray, *, bands: int) -> np.ndarray:
    """Pictures `[N, 16, 16]` for `save_bands`."""
    rows = np.array_split(np.arange(SIDE), bands)
    images = np.zeros((len(labels), SIDE, SIDE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[rows[label]] = 200
    return images


def save_npz(path: Path, order: list[int], names: list[str] | None, *, bands: int = 3) -> Path:
    """Pictures of the bands in `order`: label k shows band `order[k]` and is called `names[k]`."""
    labels = np.arange(4 * len(order)) % len(order)
    images = draw_bands(np.array(order)[labels], bands=bands)
    parts = {
        f"{part}_{kind}": array
        for part in ("train", "test")
        for kind, array in (("images", images), ("labels", labels))
    }
    np.savez(path, **parts, **({"classes": np.array(names)} if names else {}))
    return path


def judge(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert exit_code_of("evaluate", *arguments, "--json", debug=False) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_the_same_names_in_another_order_are_the_same_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_bands(tmp_path, "top", "middle", "bottom")
    data = save_npz(tmp_path / "other.npz", [2, 0, 1], ["bottom", "top", "middle"])
    report = judge(capsys, str(model), "--data", str(data))
    assert (report["correct"], report["count"]) == (12, 12)
    assert report["confusion"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]


def test_data_of_other_classes_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_bands(tmp_path, "top", "middle", "bottom")
    data = save_npz(tmp_path / "other.npz", [0, 1, 2], ["cat", "dog", "top"])
    assert exit_code_of("evaluate", str(model), "--data", str(data), debug=False) == 3
    error = capsys.readouterr().err
    assert "other has classes that model bands does not know: cat, dog; it knows top, middle, bottom" in error


def test_some_of_the_classes_are_enough_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_bands(tmp_path, "top", "middle", "bottom")
    data = save_npz(tmp_path / "part.npz", [2, 1], ["bottom", "middle"])
    report = judge(capsys, str(model), "--data", str(data))
    assert report["confusion"] == [[0, 0, 0], [0, 4, 0], [0, 0, 4]]
    assert report["notes"] == ["part has no images of 1 of the model's classes: top"]


def test_numbers_without_names_stand_for_the_classes_in_order_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_bands(tmp_path, "top", "middle", "bottom")
    report = judge(capsys, str(model), "--data", str(save_npz(tmp_path / "plain.npz", [0, 1, 2], None)))
    assert (report["correct"], report["count"]) == (12, 12)
    assert report["notes"] == ["plain names no classes: 0 to 2 are taken for top, middle, bottom, in this order"]
    assert (
        exit_code_of("evaluate", str(model), "--data", str(save_npz(tmp_path / "two.npz", [0, 1], None)), debug=False)
        == 3
    )
    assert "two numbers its classes 0 to 1 and names none" in capsys.readouterr().err


def test_a_number_that_is_a_name_is_never_taken_for_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = save_npz(tmp_path / "plain.npz", [0, 1, 2], None)
    turned = save_bands(tmp_path, "2", "1", "0", name="turned")
    assert judge(capsys, str(turned), "--data", str(data))["confusion"] == [[0, 0, 4], [0, 4, 0], [4, 0, 0]]
    shifted = save_bands(tmp_path, "1", "2", "3", name="shifted")
    assert exit_code_of("evaluate", str(shifted), "--data", str(data), debug=False) == 3
    assert "knows 3 by name: 1, 2, 3" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["top", "middle", "bottom"], None], ids=["named", "numbered"])
def test_two_models_are_compared_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str] | None
) -> None:
    model = save_bands(tmp_path, "top", "middle", "bottom")
    # Calls the top band "bottom" and the bottom one "top": wrong but for the middle.
    rival = save_bands(tmp_path, "bottom", "middle", "top", name="rival")
    data = save_npz(tmp_path / "data.npz", [0, 1, 2], names)
    report = judge(capsys, str(model), "--against", str(rival), "--data", str(data))
    assert (report["correct"], report["against"]["correct"], report["against"]["only_this"]) == (12, 4, 8)


def test_a_rival_that_lacks_a_class_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_bands(tmp_path, "top", "middle", "bottom")
    rival = save_bands(tmp_path, "top", "middle", "base", name="rival")
    data = save_npz(tmp_path / "data.npz", [0, 1, 2], ["top", "middle", "bottom"])
    assert exit_code_of("evaluate", str(model), "--against", str(rival), "--data", str(data), debug=False) == 3
    assert "model rival does not know: bottom" in capsys.readouterr().err


def test_every_place_of_a_match_is_the_names_own() -> None:
    places = match_classes(
        ["b", "x", "a"], ["a", "b", "c"], owner="data", knower="model", used=np.array([0, 2]),
    )  # fmt: skip
    assert places.tolist() == [1, -1, 0]
    with pytest.raises(DataError, match=r"data has classes that model does not know: x"):
        match_classes(["b", "x"], ["a", "b"], owner="data", knower="model", used=np.array([0, 1]))


def named(data: Dataset, *classes: str, turned: bool = False) -> Dataset:
    """Other names; `turned` gives the two classes' labels the other way round."""
    parts = (part.relabel(1 - part.labels) if turned else part for part in (data.train, data.test))
    train, test = parts
    return replace(data, train=train, test=test, classes=classes)


def test_a_run_goes_on_by_name_and_never_with_other_names(tmp_path: Path) -> None:
    recipe = small_recipe("epochs=1")
    begin(tmp_path / "whole", small_recipe("epochs=2"))
    begin(tmp_path / "parts", recipe)
    turned = named(make_bars(), "column", "row", turned=True)
    report = go_on(tmp_path / "parts", data=turned, epochs="+1")
    assert json.loads((report.run / "config.json").read_text())["classes"] == ["row", "column"]
    for classes, words in (
        (("row", "bar"), "does not know: bar"),
        (("row", "column", "cross"), "does not know: cross"),
    ):
        with pytest.raises(DataError, match=words):
            go_on(tmp_path / "parts", data=named(make_bars(), *classes), epochs="+1", allow_drift=True)


def test_a_model_is_made_with_the_names_of_what_it_was_trained_on(tmp_path: Path) -> None:
    run = begin(tmp_path, small_recipe("epochs=1"), data=named(make_bars(), DECOMPOSED, "tea")).run
    store, path = ArtifactStore(root=tmp_path), run / "config.json"
    assert read_run(run).classes == (COMPOSED, "tea")
    config = json.loads(path.read_text())
    for classes, words in ((["tea", COMPOSED], "was made with bars"), (["milk", "tea"], f"does not know: {COMPOSED}")):
        path.write_text(json.dumps({**config, "classes": classes}))
        with pytest.raises(DataError, match=words):
            export_run(run, named(make_bars(), COMPOSED, "tea"), config=ExportConfig(), store=store)


def test_all_classes_are_needed_where_a_model_is_made() -> None:
    data = make_bars()
    turned = adopt_classes(named(data, "column", "row", turned=True), ("row", "column"), knower="run x")
    assert turned.sha256 == data.sha256
    with pytest.raises(DataError, match="bars lacks classes of run x: cross; expected all 3"):
        adopt_classes(data, ("row", "column", "cross"), knower="run x")


def test_names_are_kept_and_compared_in_one_unicode_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_bands(tmp_path, DECOMPOSED, "tea", "water")
    data = save_npz(tmp_path / "drinks.npz", [0, 1, 2], [COMPOSED, "tea", "water"])
    assert judge(capsys, str(model), "--data", str(data))["correct"] == 12
    dataset = load_dataset(str(save_npz(tmp_path / "apart.npz", [0, 1, 2], [DECOMPOSED, "tea", "water"])))
    assert dataset.classes[0] == COMPOSED
    assert tell_truth(f"shop/{DECOMPOSED}-1.png", (COMPOSED, "tea")) == COMPOSED
    for spelling in (COMPOSED, DECOMPOSED):
        assert (
            exit_code_of(
                "data", "show", str(data), "--class", spelling, "-o", str(tmp_path / "a.png"), "--force", debug=False
            )
            == 0
        )


def test_two_spellings_of_one_name_are_one_class(tmp_path: Path) -> None:
    for number, name in enumerate((COMPOSED, DECOMPOSED, "tea")):
        for index in range(3):
            path = tmp_path / "drinks" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((SIDE, SIDE), 10 * number + index, np.uint8), "PNG"))
    if len(list((tmp_path / "drinks").iterdir())) < 3:
        pytest.skip("this file system knows one spelling")
    data = load_image_folder(tmp_path / "drinks")
    assert data.classes == (COMPOSED, "tea")
    values = [int(image.flat[0]) for part in (data.train, data.test) for image in part.images]
    assert sorted(values) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    with pytest.raises(DataError, match=f"class names repeat: {COMPOSED}"):
        Dataset(
            name="x", train=data.train, test=data.test, classes=(COMPOSED, DECOMPOSED), licence="x", polarity="any",
            fit="stretch",
        )  # fmt: skip
