"""The fields of a recipe and its network that can be set: what kind of value each holds."""

from __future__ import annotations

__all__ = ["OF_NETWORK", "OF_RECIPE", "kind_of", "parse_value", "require_kinds"]

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from toolkit.errors import UsageError, suggest
from toolkit.network.config import DATA_FIELDS, NetworkConfig
from toolkit.training.recipe import Recipe

UNSETTABLE = {"name", "base", "network", "follows_size"}
OF_RECIPE = {item.name: str(item.type) for item in fields(Recipe) if item.name not in UNSETTABLE}
OF_NETWORK = {item.name: str(item.type) for item in fields(NetworkConfig) if item.name not in DATA_FIELDS}
KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,)}
WORDS = {"int": "a whole number", "float": "a number", "str": "a word"}


def kind_of(key: str, *, where: str) -> str:
    """Return `int`, `float` or `str`: what a field of the recipe or the network holds.

    Raises:
        UsageError: there is no such field; the nearest is suggested.
    """
    known = {**OF_RECIPE, **OF_NETWORK}
    if key not in known:
        raise UsageError(f"{where}: unknown recipe key {key!r}{suggest(key, known)}; known: {', '.join(known)}")
    return known[key]


def parse_value(key: str, text: str, *, where: str) -> int | float | str:
    """Read a field's value as the command line gives it; its range is judged by the recipe.

    Raises:
        UsageError: an unknown field, or not of its type.
    """
    kind = kind_of(key, where=where)
    try:
        value: int | float | str = KINDS[kind][0](text)
    except ValueError as error:
        raise UsageError(f"{key} is {text!r}; expected {WORDS[kind]}") from error
    return value


def require_kinds(values: Mapping[str, Any], *, where: str) -> None:
    """Refuse values that are not of their fields' kinds.

    Raises:
        UsageError: there is no such field, or its value is of another kind or beyond what a float can be.
    """
    for key, value in values.items():
        kind = kind_of(key, where=where)
        if not isinstance(value, KINDS[kind]) or isinstance(value, bool):
            raise UsageError(f"{where}: {key} is {value!r}; expected {WORDS[kind]}")
        if kind == "float" and isinstance(value, int) and abs(value) > sys.float_info.max:
            seen = f"a number of {len(str(abs(value)))} digits"
            raise UsageError(f"{where}: {key} is {seen}; expected at most {sys.float_info.max:.2g}")
