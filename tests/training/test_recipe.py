"""Recipes and their settings."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import UsageError
from toolkit.render.training import recipe_lines
from toolkit.training.recipe_catalog import RECIPES, change_recipe, diff_recipes, recipe_from_json, resolve_recipe


def test_the_tutorials_recipe_is_the_tutorials() -> None:
    recipe = resolve_recipe("tutorial")
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size, recipe.epochs) == ("adam", 1e-4, 100, 30)
    assert (recipe.precision, recipe.network.dropout, recipe.network.kernel_size) == ("float32", 0.5, 5)


def test_settings_reach_the_recipe_and_the_network() -> None:
    recipe = resolve_recipe("fast", settings=["learning_rate=3e-4", "kernel_size=3", "padding=same", "epochs=2"])
    assert (recipe.learning_rate, recipe.epochs) == (3e-4, 2)
    assert (recipe.network.kernel_size, recipe.network.padding) == (3, "same")
    assert RECIPES["fast"].learning_rate != 3e-4


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learnin_rate=1", "did you mean 'learning_rate'"),
        ("kernel=3", "did you mean 'kernel_size'"),
        ("height=3", "unknown recipe key"),
        ("epochs", "no value"),
        ("epochs=1.5", "whole number"),
        ("learning_rate=fast", "a number"),
        ("epochs=0", "epochs is 0; expected 1 to 100,000"),
        ("learning_rate=-1", r"learning_rate is -1\.0; expected more than 0 and less than 100"),
        ("learning_rate=nan", "expected"),
        ("clutter_probability=1.5", "expected"),
        ("batch_shift_pixels=64", "batch_shift_pixels is 64; expected at least 0 and less than 64"),
        ("optimizer=adamm", "did you mean 'adam"),
        ("schedule=onecyle", "did you mean 'onecycle'"),
        ("kernel_size=2", "odd"),
    ],
)
def test_a_bad_setting_says_what_is_wrong(setting: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_recipe("fast", settings=[setting])


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'tutorial'"):
        resolve_recipe("tutrial")


def test_settings_are_judged_together_whatever_their_order() -> None:
    for settings in (["kernel_size=13", "padding=same"], ["padding=same", "kernel_size=13"]):
        assert resolve_recipe("fast", settings=settings).network.kernel_size == 13


def test_geometry_is_judged_once_the_images_size_is_known() -> None:
    recipe = resolve_recipe("fast", settings=["kernel_size=15"])
    assert recipe.for_data(height=128, width=128, channels=3, classes=4).network.kernel_size == 15
    with pytest.raises(UsageError, match="28x28 image is too small"):
        recipe.for_data(height=28, width=28, channels=1, classes=10)


def write(folder: Path, text: str) -> str:
    path = folder / "my.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_recipe_is_read_from_toml_and_named_after_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, 'base = "tutorial"\nepochs = 3\nlearning_rate = 1\n[network]\nhidden_units = 64\n')
    recipe = resolve_recipe(path, settings=["batch_size=50"])
    assert (recipe.name, recipe.base, recipe.epochs, recipe.batch_size) == ("my+batch_size=50", "tutorial", 3, 50)
    assert recipe.learning_rate == 1.0
    assert isinstance(recipe.learning_rate, float)
    assert recipe.network.hidden_units == 64
    assert diff_recipes(RECIPES["tutorial"], recipe) == {
        "epochs": (30, 3),
        "batch_size": (100, 50),
        "learning_rate": (1e-4, 1.0),
        "hidden_units": (1024, 64),
    }
    assert recipe_lines(recipe)[0] == "recipe my+batch_size=50, from tutorial, changed:"
    assert "  epochs: 30 -> 3" in recipe_lines(recipe)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epohcs = 3", "did you mean 'epochs'"),
        ("[network]\nhiden_units = 3", "did you mean 'hidden_units'"),
        ("[network]\nepochs = 3", r"above \[network\]"),
        ('base = "fats"', "did you mean 'fast'"),
        ("epochs = 3.5", "a whole number"),
        ("epochs = true", "a whole number"),
        ('learning_rate = "high"', "a number"),
        ("network = 3", r"\[network\] is a table"),
        ("name = 3", "are words"),
        ("epochs = ", "not TOML"),
        ("epochs = 0", "expected 1 to 100,000"),
        ("[network]\nheight = 64", "unknown recipe key 'height'"),
        ("learning_rate = 1" + "0" * 400, "a number of 401 digits"),
        pytest.param("epochs = " + "[" * 10_000, "not TOML", id="deep"),
        pytest.param("#" * 100_000, "100000 bytes; the most is", id="long"),
    ],
)
def test_a_bad_recipe_file_says_what_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_recipe(write(tmp_path, text))


def test_a_recipe_that_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "my.toml")
    with pytest.raises(UsageError, match="not a regular file"):
        resolve_recipe(str(tmp_path / "my.toml"))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("hidden_units=1000000000000000000000", "parameters"),
        ("conv1_channels=100000", "expected at most 60,000,000"),
        ("test_shift_pixels=129", "0 to 128"),
    ],
)
def test_a_network_that_cannot_be_saved_and_read_back_is_refused_before_it_is_made(setting: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_recipe("fast", settings=[setting])


@pytest.mark.parametrize(("key", "value"), [("batch_size", 16.0), ("epochs", True), ("learning_rate", 10**400)])
def test_a_recorded_recipe_with_a_value_of_another_kind_is_refused(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"the recorded recipe: {key} is"):
        recipe_from_json({**RECIPES["fast"].to_json(), key: value})


def test_a_recipe_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        resolve_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "big.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="the most is 65536"):
        resolve_recipe(str(tmp_path / "big.toml"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_recipe_comes_back(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe_from_json(json.loads(json.dumps(recipe.to_json()))) == replace(recipe, follows_size=())
    assert diff_recipes(recipe, recipe) == {}
    assert recipe_lines(recipe) == [f"recipe {name}"]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("height", "width", "channels"), [(16, 16, 1), (28, 28, 1), (64, 48, 3), (128, 128, 3)])
def test_every_recipe_fits_every_size_of_image(name: str, height: int, width: int, channels: int) -> None:
    recipe = RECIPES[name].for_data(height=height, width=width, channels=channels, classes=7)
    assert recipe.network.layer_shapes()[-1].output == (7,)


@pytest.mark.parametrize(
    ("name", "images", "batch_size", "epochs", "rate"),
    [
        # The sets they were chosen for, and folds of them.
        *((name, images, None, None, None) for name in RECIPES for images in (60_000, 50_000, 40_000)),
        ("fast", 4_000, 256, 19, None),
        ("tutorial", 4_000, 100, 30, None),
        ("best", 4_000, 128, 40, None),
        ("fast", 240, 16, 20, 0.01 / 4),
        # The others are better with their own rate.
        *(
            (name, 240, 16, epochs, None)
            for name, epochs in {"tutorial": 30, "speedrun": 20, "long": 20, "best": 40}.items()
        ),
        ("fast", 129, 8, 19, 0.00177),
        ("fast", 8, 4, 100, 0.01 / 8),
        ("fast", 1, 4, 100, 0.01 / 8),
    ],
)
def test_batches_rates_and_epochs_follow_the_number_of_images(
    name: str, images: int, batch_size: int | None, epochs: int | None, rate: float | None
) -> None:
    recipe = RECIPES[name]
    fitted = recipe.for_count(images)
    assert (fitted.batch_size, fitted.epochs) == (batch_size or recipe.batch_size, epochs or recipe.epochs)
    assert fitted.learning_rate == (rate or recipe.learning_rate)
    assert diff_recipes(recipe, fitted).keys() <= {"batch_size", "epochs", "learning_rate"}
    assert fitted.for_count(1_000_000) == fitted.for_count(10) == fitted


def test_what_somebody_chose_does_not_follow_the_number_of_images(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("batch_size = 64\n")
    chosen = [resolve_recipe("fast", settings=["epochs=2"]), resolve_recipe(str(path))]
    chosen += [resolve_recipe(str(path), settings=["epochs=2"]), recipe_from_json(RECIPES["fast"].to_json())]
    fitted = [recipe.for_count(240) for recipe in chosen]
    assert [recipe.learning_rate for recipe in fitted] == [0.0025, 0.01, 0.01, 0.01]
    assert [(recipe.batch_size, recipe.epochs) for recipe in fitted] == [(16, 2), (64, 75), (64, 2), (256, 3)]


def test_a_run_from_before_two_augmentations_went_is_read_unless_it_used_one() -> None:
    recorded = RECIPES["fast"].to_json()
    recipe = recipe_from_json(recorded)
    assert recipe_from_json({**recorded, "elastic_pixels": 0.0, "erase_probability": 0}) == recipe
    with pytest.raises(UsageError, match=r"recorded recipe cannot be used: .*'elastic_pixels'"):
        recipe_from_json({**recorded, "elastic_pixels": 0.6})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ([], "fast"),
        (["weight_decay=0.01"], "fast"),  # as it has it
        (["learning_rate=0.01"], "fast+learning_rate=0.01"),  # no longer fitted to the number of images
        (["learning_rate=0.002"], "fast+learning_rate=0.002"),
        (["epochs=3"], "fast+epochs=3"),  # no longer fitted to the number of images
        (["hidden_units=32", "optimizer=adam"], "fast+optimizer=adam+hidden_units=32"),
        (["epochs=1", "scale=0.1", "shear=0.1", "stages=3", "dropout=0"], "fast+epochs=1+scale=0.1+shear=0.1+2-more"),
        (["label_smoothing=0.123456", "clutter_probability=0.123456"], "fast+label_smoothing=0.123456+1-more"),
    ],
)
def test_a_changed_recipe_says_so_in_its_name(settings: list[str], name: str) -> None:
    recipe = resolve_recipe("fast", settings=settings)
    assert (recipe.name, recipe.base) == (name, "fast" if settings and name != "fast" else "")


def test_a_value_that_is_changed_again_is_named_once(tmp_path: Path) -> None:
    once = resolve_recipe("fast", settings=["learning_rate=0.002", "epochs=3"])
    again = change_recipe(once, ["learning_rate=0.001"])
    assert (again.name, again.base) == ("fast+epochs=3+learning_rate=0.001", "fast")
    path = write(tmp_path, "epochs = 3\n")
    assert resolve_recipe(path, settings=["dropout=0.1"]).name == "my+dropout=0.1"
