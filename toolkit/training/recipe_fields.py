"""Every field that `--set` takes: what it means, what it may be; from the words and the limits of the records."""

from __future__ import annotations

__all__ = ["RecipeField", "list_fields"]

import inspect
import re
from dataclasses import dataclass

from toolkit.network.config import LIMITS as NETWORK_LIMITS
from toolkit.network.config import NetworkConfig
from toolkit.network.ranges import describe_limit
from toolkit.training.recipe import KIND_WORDS, LIMITS, OF_NETWORK, OF_RECIPE, Recipe
from toolkit.training.recipe_catalog import describe_recipe

ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
EVERY_LIMIT = {**LIMITS, **NETWORK_LIMITS}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeField:
    """One field of a recipe.

    Attributes:
        key: as `--set` and a recipe's file name it.
        part: `recipe`, or `network`: under `[network]` in a recipe's file.
        value: what the recipe has; what a training has where nobody sets it.
        follows_size: whether it is fitted to the number of images where nobody sets it.
        limits: what it may be, in words.
        meaning: what it does.
    """

    key: str
    part: str
    value: int | float | str
    follows_size: bool
    limits: str
    meaning: str


def list_fields(recipe: Recipe) -> list[RecipeField]:
    """Return the fields of a recipe and its network, in the order in which they are declared."""
    meanings = {**_meanings(NetworkConfig), **_meanings(Recipe)}
    return [
        RecipeField(
            key=key,
            part="recipe" if key in OF_RECIPE else "network",
            value=value,
            follows_size=key in recipe.follows_size,
            limits=_limits(key),
            meaning=meanings.get(key, ""),  # Python -OO takes the words away
        )
        for key, value in describe_recipe(recipe).items()
    ]


def _limits(key: str) -> str:
    kind = {**OF_RECIPE, **OF_NETWORK}[key]
    words = describe_limit(EVERY_LIMIT[key])
    return f"{KIND_WORDS[kind]}, {words}" if kind == "int" and "number" not in words else words


def _meanings(record: type) -> dict[str, str]:
    """Return what a record's own words say of each of its fields."""
    words = inspect.cleandoc(record.__doc__ or "")
    return {key: " ".join(text.split()) for key, text in ATTRIBUTE.findall(words)}
