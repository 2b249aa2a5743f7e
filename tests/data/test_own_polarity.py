"""What a user's own training images are: told from them, written down, changed on request; wishes without effect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands_here import exit_code_of
from handwriting import write_handwriting
from idx_files import write_idx
from imaging_samples import draw_seven
from PIL import Image
from small_training import Listener, begin, go_on, make_bars, small_recipe
from tiny_models import build_card, build_model

from toolkit import Classifier
from toolkit.artifacts import ArtifactStore
from toolkit.card import InputSpec
from toolkit.cli.actions import evaluate as evaluate_action
from toolkit.data import load, load_dataset
from toolkit.data.dataset import POLARITIES
from toolkit.data.load import load_mini
from toolkit.errors import UsageError
from toolkit.imaging.fit import find_fit
from toolkit.imaging.polarity import find_polarity, invert
from toolkit.imaging.prepare import prepare_image
from toolkit.imaging.settings import PrepareSettings

COUNT = 400


def save(folder: Path, origin: str, *, inverted: bool = False, count: int = COUNT) -> str:
    """Digits as a user's own, in one of the forms that data sets have."""
    mini = load_mini()
    train, test = mini.train.take(np.arange(count)), mini.test.take(np.arange(60))
    parts = {"train": train, "test": test}
    turn = invert if inverted else np.asarray
    if origin == "npz":
        arrays = {f"{name}_images": turn(part.images) for name, part in parts.items()}
        np.savez(folder / "own.npz", **arrays, **{f"{name}_labels": part.labels for name, part in parts.items()})
        return str(folder / "own.npz")
    for name, part in parts.items():
        if origin == "idx":
            write_idx(folder / f"{name}-images-idx3-ubyte", turn(part.images))
            write_idx(folder / f"{name}-labels-idx1-ubyte", part.labels.astype(np.uint8))
            continue
        for number, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
            path = folder / name / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(turn(image)).save(path)
    return str(folder)


@pytest.mark.parametrize("origin", ["idx", "npz", "folder"])
@pytest.mark.parametrize("inverted", [False, True])
def test_it_is_told_from_the_training_images_of_any_origin(tmp_path: Path, origin: str, inverted: bool) -> None:
    data = load_dataset(save(tmp_path, origin, inverted=inverted))
    assert data.polarity == ("dark-on-light" if inverted else "light-on-dark")
    assert data.fit == "mnist", "they are placed as MNIST's, because they are"
    asked = load_dataset(save(tmp_path, origin, inverted=inverted), polarity="any")
    assert (asked.polarity, asked.fit) == ("any", "stretch")


@pytest.mark.parametrize("found", POLARITIES)
@pytest.mark.parametrize("wish", [None, *POLARITIES])
def test_only_the_opposite_of_what_the_images_show_is_warned_of(
    found: str, wish: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "find_polarity", lambda _: found)
    said: list[str] = []
    assert load_dataset(save(tmp_path, "npz", count=20), polarity=wish, on_note=said.append).polarity == (wish or found)
    are_opposite = {wish, found} == {"light-on-dark", "dark-on-light"}
    assert [text.startswith("warning: the training images of own look ") for text in said] == [True] * are_opposite


def test_pictures_that_do_not_agree_have_none() -> None:
    digits = load_mini().train.images[:COUNT]
    few, many = digits.copy(), digits.copy()
    few[7] = 255 - few[7]
    many[::20] = 255 - many[::20]
    assert (find_polarity(few), find_polarity(many)) == ("light-on-dark", "any")
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), np.uint8)
    assert find_polarity(noise) == find_polarity(np.zeros((3, 28, 28), np.uint8)) == "any"
    assert find_polarity(np.repeat(digits[..., np.newaxis], 3, axis=3)) == "any", "colours are never inverted"


def test_pictures_placed_in_another_way_are_stretched() -> None:
    digits = load_mini().train.images[:COUNT]
    moved, small = np.roll(digits, 4, axis=2), np.pad(digits, ((0, 0), (8, 8), (8, 8)))
    assert [find_fit(images, "light-on-dark") for images in (digits, moved, small)] == ["mnist", "stretch", "stretch"]
    assert find_fit(make_bars().train.images, "light-on-dark") == "stretch"


def test_a_run_keeps_what_its_images_were(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path, "npz", inverted=True))
    run = begin(tmp_path / "runs", small_recipe("epochs=1"), data=data).run
    assert json.loads((run / "config.json").read_text())["input"]["polarity"] == "dark-on-light"
    go_on(tmp_path / "runs", data=replace(data, polarity="any", fit="stretch"), epochs="+1")
    kept = json.loads((run / "config.json").read_text())["input"]
    assert (kept["polarity"], kept["fit"]) == ("dark-on-light", "mnist")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "mnist-mini", "--polarity", "any"], "mnist-mini has its own polarity"),
        (["--data", "own.npz", "--polarity", "dark-on-lite"], "did you mean 'dark-on-light'"),
        (["--resume", "latest", "--polarity", "any"], "--polarity is settled when a run begins"),
        (["--resume", "latest", "--size", ""], "--size is settled when a run begins"),
    ],
)
def test_a_polarity_that_cannot_be_set_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of("train", *arguments, debug=False) == 2
    assert words in capsys.readouterr().err


def test_training_says_what_its_images_are_and_does_as_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_action, "_draw", lambda *_, **__: {})  # no picture is looked at
    tiny = [
        item for setting in ("conv1_channels=2", "conv2_channels=2", "hidden_units=8") for item in ("--set", setting)
    ]
    data = save(tmp_path, "npz", count=60)
    asked = ["train", "--data", data, "--polarity", "dark-on-light", "--epochs", "1", "--threads", "1", *tiny]
    assert exit_code_of(*asked) == 0
    said = capsys.readouterr().err
    assert "own is dark-on-light, as asked: a picture that is not will be inverted" in said
    assert "warning: the training images of own look light-on-dark; they are taken for dark-on-light, as asked" in said
    assert "pictures that look like them will be inverted for a prediction (--polarity any inverts none)" in said
    run = ArtifactStore.default().latest_run()
    assert json.loads((run / "config.json").read_text())["input"]["polarity"] == "dark-on-light"


@pytest.mark.parametrize(
    ("about", "wish", "words"),
    [
        ({"polarity": "any"}, {"polarity": "dark-on-light"}, "polarity dark-on-light has no effect"),
        ({"channels": 3, "fit": "stretch"}, {"fit": "mnist"}, "this model takes colour"),
    ],
)
def test_a_wish_without_effect_is_refused(
    about: dict[str, object],
    wish: dict[str, str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, picture = tmp_path / "tiny.onnx", tmp_path / "a.png"
    graph = build_model(card=build_card(**about), channels=int(about.get("channels", 1)))  # type: ignore[arg-type]
    model.write_bytes(graph.SerializeToString(deterministic=True))
    Image.fromarray(draw_seven()).save(picture)
    with pytest.raises(UsageError, match=words):
        Classifier(model, **wish)  # type: ignore[arg-type]
    options = [item for name, value in wish.items() for item in (f"--{name}", value)]
    predict = ["predict", str(model), str(picture), "-o", str(tmp_path / "rows.csv"), *options]
    assert exit_code_of(*predict, debug=False) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("rows.csv*"))


def test_a_drawing_is_placed_by_its_ink_where_the_model_takes_any(tmp_path: Path) -> None:
    spec = InputSpec(height=28, width=28, channels=1)
    page = np.pad(np.kron(draw_seven(), np.ones((5, 5), np.uint8)), 40)
    light, _ = prepare_image(page, spec, settings=PrepareSettings(fit="mnist"))
    dark, _ = prepare_image(invert(page), spec, settings=PrepareSettings(fit="mnist"))
    assert np.array_equal(dark, invert(light))


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["idx", "npz"])
def test_ten_of_ten_in_handwriting_for_a_model_of_own_digits(tmp_path: Path, origin: str) -> None:
    from toolkit.exporting.config import ExportConfig
    from toolkit.exporting.export import export_run
    from toolkit.training.config import TrainConfig
    from toolkit.training.recipe_catalog import resolve_recipe
    from toolkit.training.train import train

    data, store = load_dataset(save(tmp_path, origin, count=4_000)), ArtifactStore(root=tmp_path / "artifacts")
    config = TrainConfig(recipe=resolve_recipe("fast", settings=["epochs=3"]), device="cpu")
    run = train(data, config, store=store, listener=Listener()).run
    model = export_run(run, data, config=ExportConfig(name="own"), store=store).model
    with Classifier(model) as classifier:
        assert (classifier.card.input.polarity, classifier.card.input.fit) == ("light-on-dark", "mnist")
        test = load_mini().test
        # The model is trained briefly: handwriting of what it reads, which is no easier than the rest to place.
        right = np.flatnonzero(classifier.predict(test.images).class_indices == test.labels)
        chosen = [int(right[test.labels[right] == digit][3]) for digit in range(10)]
        write_handwriting(tmp_path / "hand", test.images[chosen], test.labels[chosen], origin="mnist")
        paths = sorted((tmp_path / "hand").iterdir())
        assert classifier.predict(paths).labels == tuple(path.name[0] for path in paths)
