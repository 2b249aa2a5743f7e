"""The recipes that come with the product, and how a recipe is named, read, changed and compared; needs no torch."""

from __future__ import annotations

__all__ = [
    "RECIPES",
    "SUMMARIES",
    "change_recipe",
    "describe_recipe",
    "diff_recipes",
    "read_recipe",
    "recipe_from_json",
    "recipe_to_toml",
    "resolve_recipe",
]

import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError, suggest
from toolkit.network.config import LARGEST_IMAGE, NetworkConfig
from toolkit.plain import to_plain
from toolkit.regular_file import read_regular
from toolkit.training.recipe import FOLLOWING, OF_NETWORK, OF_RECIPE, Recipe, kind_of, parse_value, require_kinds

# Five convolutions with batch normalisation: one of 5x5, then two of 3x3 a stage where the tutorial has one of 5x5.
DEEP = NetworkConfig(stages=3, stage_convs=2, conv3_channels=128, normalisation="batch", hidden_units=0, dropout=0.3)
GONE = {"elastic_pixels", "erase_probability"}
# What all but the tutorial's have in common.
_MODERN = Recipe(
    name="fast",
    epochs=3,
    batch_size=256,
    optimizer="adamw",
    learning_rate=1e-2,
    weight_decay=1e-2,
    schedule="onecycle",
    label_smoothing=0.05,
    precision="auto",
)
_CHOSEN = (
    # The source tutorial's own training.
    Recipe(name="tutorial", epochs=30, batch_size=100, optimizer="adam", learning_rate=1e-4),
    # Chosen on the last 10,000 training images: docs/decisions/0002-recipe-fast.md.
    replace(
        _MODERN,
        batch_shift_pixels=1,
        blur_probability=0.15,
        blur_pixels=1.2,
        network=NetworkConfig(dropout=0.3),
    ),
    # The three below, likewise: docs/decisions/0007-recipes.md.
    replace(
        _MODERN,
        name="speedrun",
        epochs=1,
        batch_size=96,
        learning_rate=1.6e-2,
        shift_pixels=1.0,
        network=replace(DEEP, conv1_channels=16, conv2_channels=48, conv3_channels=96, dropout=0.0),
    ),
    # The tutorial's own network.
    replace(
        _MODERN,
        name="long",
        epochs=20,
        batch_size=128,
        learning_rate=1.5e-3,
        shift_pixels=1.5,
        rotation_degrees=8.0,
        scale=0.08,
        shear=0.08,
        average_decay=0.999,
    ),
    replace(
        _MODERN,
        name="best",
        epochs=40,
        batch_size=128,
        learning_rate=3e-3,
        shift_pixels=2.0,
        rotation_degrees=10.0,
        scale=0.15,
        shear=0.1,
        clutter_probability=0.3,
        clutter_pixels=13.0,
        blur_probability=0.3,
        average_decay=0.999,
        network=replace(DEEP, input_dropout=0.1, test_shift_pixels=1, standardisation="image"),
    ),
)
# They were chosen for 50,000 images; a smaller set needs smaller batches and more epochs. Of the rates only the one of
# `fast` is too high for small batches: docs/decisions/0018-small-sets.md.
RECIPES = {
    recipe.name: replace(recipe, follows_size=FOLLOWING if recipe.name == "fast" else FOLLOWING[:2])
    for recipe in _CHOSEN
}

SUMMARIES = {
    "tutorial": "the source tutorial's own training, in float32",
    "fast": "the default: the tutorial's network in 3 epochs",
    "speedrun": "five convolutions with batch normalisation, in 1 epoch",
    "long": "the tutorial's network, every image warped, in 20 epochs",
    "best": "the most accurate: five convolutions, spoilt images, 40 epochs",
}
# Of a name's characters, for what was changed: run folders and their models are called so.
MOST_CHANGES_LENGTH = 32

# TOML's parser takes a time that grows with the square of a key's parts.
RECIPE_CAP_BYTES = 1 << 16


def resolve_recipe(name: str, *, settings: Iterable[str] = ()) -> Recipe:
    """Return a named recipe, or one read from a `.toml` file, with `key=value` settings applied.

    Raises:
        UsageError: an unknown recipe or key (the nearest is suggested), or a value of the wrong type or range.
    """
    recipe = read_recipe(Path(name)) if name.endswith(".toml") else _named(name)
    return change_recipe(recipe, settings)


def change_recipe(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return a recipe with `key=value` settings applied, which its name says: `fast+learning_rate=0.002`.

    Raises:
        UsageError: as `resolve_recipe`.
    """
    changed = _changed(recipe, _parse_settings(settings), where="--set")
    keys = [*diff_recipes(recipe, changed)]
    # One that was to follow the number of images, and is chosen now, may have the value that it would have begun from.
    keys += [key for key in recipe.follows_size if key not in {*changed.follows_size, *keys}]
    if not keys:
        return changed
    values = describe_recipe(changed)
    stem, *before = recipe.name.split("+")
    parts = [part for part in before if part.partition("=")[0] not in keys]
    parts += [f"{key}={values[key]:g}" if isinstance(values[key], float) else f"{key}={values[key]}" for key in keys]
    return replace(changed, name="+".join([stem, *_shorten(parts)]), base=recipe.base or recipe.name)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from TOML: `base = "fast"` (the default), any field, and the network's under `[network]`.

    Its name is the file's, unless it has a `name`.

    Raises:
        UsageError: unreadable, not TOML, an unknown base or key, or a value of the wrong type or range.
    """
    try:
        text = read_regular(path, most_bytes=RECIPE_CAP_BYTES, name=f"the recipe {path}", raises=UsageError)
        table = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the recipe {path} is not TOML that can be read: {error}") from error
    base, network = table.pop("base", "fast"), table.pop("network", {})
    name = table.pop("name", path.stem)
    if not isinstance(base, str) or not isinstance(name, str) or not isinstance(network, dict):
        raise UsageError(f"{path}: base and name are words and [network] is a table")
    misplaced = sorted(set(network) & set(OF_RECIPE))
    if misplaced:
        raise UsageError(f"{path}: {misplaced[0]} is a key of the recipe; write it above [network]")
    return _changed(replace(_named(base), name=name, base=base), {**table, **network}, where=str(path))


def recipe_from_json(value: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `Recipe.to_json` described.

    Raises:
        UsageError: a key is unknown or missing, or a value is of the wrong type or range.
    """
    try:
        require_kinds({key: value[key] for key in OF_RECIPE if key in value}, where="the recorded recipe")
        network = NetworkConfig(**value["network"])
        # Runs from before these two went have them, nearly all at 0.
        known = {key: item for key, item in value.items() if key not in GONE or item}
        return Recipe(**{**known, "network": network})
    except (TypeError, KeyError) as error:
        raise UsageError(f"the recorded recipe cannot be used: {error}") from error


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return every field that can be set, the network's among them, without names and image sizes."""
    values = {**recipe.to_json(), **to_plain(recipe.network)}
    return {key: values[key] for key in (*OF_RECIPE, *OF_NETWORK)}


def diff_recipes(base: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two recipes differ: `{field: (base, other)}`, without names and image sizes."""
    before, after = describe_recipe(base), describe_recipe(other)
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def recipe_to_toml(recipe: Recipe) -> str:
    """Return the TOML that `read_recipe` reads as this recipe: its base, its name, and what differs from the base."""
    base = recipe.base or recipe.name
    changed = {key: after for key, (_, after) in diff_recipes(RECIPES[base], recipe).items()}
    lines = [f"base = {json.dumps(base)}", f"name = {json.dumps(recipe.name, ensure_ascii=False)}"]
    # What JSON writes for a word, a whole number or a finite number means the same in TOML.
    lines += [f"{key} = {json.dumps(value)}" for key, value in changed.items() if key in OF_RECIPE]
    inner = [f"{key} = {json.dumps(value)}" for key, value in changed.items() if key in OF_NETWORK]
    return "\n".join([*lines, *(["", "[network]", *inner] if inner else [])]) + "\n"


def _named(name: str) -> Recipe:
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise UsageError(f"unknown recipe {name!r}{suggest(name, RECIPES)}; known: {known}, or a .toml file")
    return RECIPES[name]


def _shorten(parts: list[str]) -> list[str]:
    """Return as many of the changes as make no endless name, at least one, and how many more there are."""
    lengths = itertools.accumulate(len(part) + 1 for part in parts)
    shown = max(1, sum(length <= MOST_CHANGES_LENGTH for length in lengths))
    return parts if shown == len(parts) else [*parts[:shown], f"{len(parts) - shown}-more"]


def _parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} has no value; write it as key=value")
        values[key] = parse_value(key, text, where="--set")
    return values


def _changed(recipe: Recipe, values: Mapping[str, Any], *, where: str) -> Recipe:
    require_kinds(values, where=where)
    typed = {key: float(value) if kind_of(key, where=where) == "float" else value for key, value in values.items()}
    own: dict[str, Any] = {key: value for key, value in typed.items() if key in OF_RECIPE}
    inner: dict[str, Any] = {key: value for key, value in typed.items() if key in OF_NETWORK}
    # All at once: a kernel that needs another padding may be named before it. The image's size is not known yet, so the
    # largest is assumed; `for_data` judges the geometry once it is.
    network = replace(recipe.network, height=LARGEST_IMAGE, width=LARGEST_IMAGE, **inner)
    left = tuple(key for key in recipe.follows_size if key not in own)
    return replace(recipe, **own, network=network, follows_size=left)
