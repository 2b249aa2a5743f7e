"""The words of --space, and what they are checked for before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import UsageError
from toolkit.training.recipe_catalog import RECIPES, describe_recipe, read_recipe, recipe_to_toml, resolve_recipe
from toolkit.tuning.search_space import apply_point, check_space, count_grid, grid_axes, parse_space

FAST = RECIPES["fast"]


def test_each_spelling_means_what_it_says() -> None:
    space = parse_space(
        [
            "learning_rate=1e-4..1e-2:log",
            "batch_size=64,128",
            "optimizer=adam,adamw",
            "dropout=0.2..0.6/5",
            "hidden_units=128..1024:log/4",
            "conv1_channels=8..32",
        ]
    )
    rate, batch, optimizer, dropout, hidden, channels = space
    assert (rate.bounds, rate.log, rate.values) == ((1e-4, 1e-2), True, ())
    assert batch.values == (64, 128)
    assert optimizer.values == ("adam", "adamw")
    assert dropout.values == (0.2, 0.3, 0.4, 0.5, 0.6)
    assert hidden.values == (128, 256, 512, 1024)
    assert (channels.bounds, channels.kind, channels.values) == ((8, 32), "int", ())
    check_space(space, FAST)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learnin_rate=1,2", "did you mean 'learning_rate'"),
        ("height=20,28", "unknown recipe key"),
        ("dropout", "has no values"),
        ("dropout=", "has no values"),
        ("dropout=0.1,,0.2", "a value is missing"),
        ("batch_size=64,many", "expected a whole number"),
        ("batch_size=64,64", "repeat"),
        ("batch_size=1..3/9", "repeat"),
        ("dropout=0.6..0.2", "to a larger one"),
        ("dropout=nan..0.2", "to a larger one"),
        ("learning_rate=0..0.1:log", "begins above 0"),
        ("dropout=0.2..0.6:lg", "':lg' means nothing"),
        ("dropout=0.2..0.6/1", "'/1' means nothing"),
        ("dropout=0.2..", "is no range"),
        ("optimizer=adam..adamw", "is no range"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_space([text])


def test_nothing_to_search_a_field_twice_and_a_settled_field_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing to search"):
        parse_space([])
    with pytest.raises(UsageError, match="twice"):
        parse_space(["dropout=0.1,0.2", "dropout=0.3,0.4"])
    with pytest.raises(UsageError, match="twice"):
        parse_space(["dropout=0.1,0.2"], settled=["dropout"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dropout=0.5..1.5", "dropout cannot be 1.5"),
        ("learning_rate=-1..0.1", "learning_rate cannot be -1.0"),
        ("kernel_size=3,4", "kernel_size cannot be 4: .* odd"),
        ("optimizer=adam,adamm", "did you mean 'adam"),
    ],
)
def test_values_outside_the_recipes_ranges_are_refused_beforehand(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_space(parse_space([text]), FAST)


def test_a_value_that_only_fits_another_of_the_space_is_let_through() -> None:
    with pytest.raises(UsageError, match="stage_convs cannot be 3"):
        check_space(parse_space(["stage_convs=1,3"]), FAST)
    check_space(parse_space(["stage_convs=1,3", "kernel_size=5,7"]), FAST)


def test_a_grid_has_every_combination_of_its_fields_values() -> None:
    space = parse_space(["batch_size=64,128", "kernel_size=3..5", "dropout=0.1..0.5/3"])
    assert grid_axes(space) == {"batch_size": (64, 128), "kernel_size": (3, 4, 5), "dropout": (0.1, 0.3, 0.5)}
    assert count_grid(space) == 2 * 3 * 3


def test_a_grid_over_a_continuous_range_needs_points() -> None:
    with pytest.raises(UsageError, match=r"write dropout=0.1..0.5/5"):
        count_grid(parse_space(["dropout=0.1..0.5"]))
    with pytest.raises(UsageError, match=r"1,000,000 points; .* use --search tpe"):
        count_grid(parse_space(["dropout=0.1..0.5/1000", "learning_rate=0.1..0.5/1000"]))


@given(st.floats(1e-6, 1.0), st.floats(1.5, 1e3), st.integers(2, 9), st.booleans())
def test_points_go_from_end_to_end_and_rise(low: float, ratio: float, count: int, log: bool) -> None:
    high = low * ratio
    (dimension,) = parse_space([f"weight_decay={low}..{high}{':log' if log else ''}/{count}"])
    assert (dimension.values[0], dimension.values[-1]) == (low, high)
    assert len(dimension.values) == count
    assert list(dimension.values) == sorted(dimension.values)


def test_every_field_that_can_be_set_can_be_searched() -> None:
    for key, value in describe_recipe(FAST).items():
        check_space(parse_space([f"{key}={value}"]), FAST)


def test_a_point_comes_back_from_the_file_of_its_recipe(tmp_path: Path) -> None:
    base = resolve_recipe("tutorial", settings=["epochs=3"])
    recipe = apply_point(base, {"learning_rate": 1.25e-05, "optimizer": "adamw", "kernel_size": 3, "dropout": 0.25})
    path = tmp_path / "best.toml"
    path.write_text(recipe_to_toml(recipe))
    again = read_recipe(path)
    assert describe_recipe(again) == describe_recipe(recipe)
    assert (again.name, again.base) == ("tutorial+epochs=3", "tutorial")
