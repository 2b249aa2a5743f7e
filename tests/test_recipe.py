"""Recipes and their settings."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.training.recipes import RECIPES, resolve_recipe


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
        ("epochs=0", "out of range"),
        ("learning_rate=-1", "out of range"),
        ("learning_rate=nan", "out of range"),
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
