"""Recipes: how to train, as frozen settings with a name; needs no torch."""

from __future__ import annotations

__all__ = ["RECIPES", "Recipe", "resolve_recipe"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from toolkit.errors import UsageError, suggest
from toolkit.network.config import NetworkConfig

OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "onecycle")
PRECISIONS = ("float32", "auto")
# Set by the data, never by hand.
DATA_FIELDS = {"height", "width", "channels", "classes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        name: the recipe it started from.
        epochs: passes over the training images.
        batch_size: images in one step.
        optimizer: `adam` or `adamw`.
        learning_rate: constant rate, or the peak of the schedule.
        weight_decay: decoupled weight decay; `adamw` only.
        schedule: `constant` or `onecycle` (Smith and Topin 2017: up, then down to nearly nothing).
        warmup_fraction: share of the steps in which `onecycle` climbs, in (0, 1).
        label_smoothing: weight taken from the true class and spread evenly, in [0, 1).
        shift_pixels: each batch is shifted by up to this many pixels in each direction.
        precision: `float32`, or `auto` for bfloat16 products where the device is fast at them.
        network: the network's hyper-parameters; its sizes follow the data.
    """

    name: str
    epochs: int
    batch_size: int
    optimizer: str = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_fraction: float = 0.3
    label_smoothing: float = 0.0
    shift_pixels: int = 0
    precision: str = "float32"
    network: NetworkConfig = field(default_factory=NetworkConfig)

    def __post_init__(self) -> None:
        for key, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            value = getattr(self, key)
            if value not in known:
                raise UsageError(f"{key} is {value!r}{suggest(str(value), known)}; expected one of {', '.join(known)}")
        ranges = {
            "epochs": 1 <= self.epochs <= 100_000,
            "batch_size": 1 <= self.batch_size <= 1_000_000,
            "learning_rate": 0 < self.learning_rate < 100,
            "weight_decay": 0 <= self.weight_decay < 10,
            "warmup_fraction": 0 < self.warmup_fraction < 1,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "shift_pixels": 0 <= self.shift_pixels < 64,
        }
        for key, is_inside in ranges.items():
            if not is_inside:
                raise UsageError(f"{key} is {getattr(self, key)}, which is out of range")

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values, the network's settings among them under `network`."""
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        value["network"] = self.network.to_json()
        return value

    def for_data(self, *, height: int, width: int, channels: int, classes: int) -> Recipe:
        """Return the recipe with the network's sizes taken from the data."""
        return replace(
            self, network=replace(self.network, height=height, width=width, channels=channels, classes=classes)
        )


RECIPES: dict[str, Recipe] = {
    # The source tutorial's own training.
    "tutorial": Recipe(name="tutorial", epochs=30, batch_size=100, optimizer="adam", learning_rate=1e-4),
    # Chosen on the last 10,000 training images: docs/decisions/0002-recipe-fast.md.
    "fast": Recipe(
        name="fast",
        epochs=6,
        batch_size=128,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=1e-2,
        schedule="onecycle",
        label_smoothing=0.05,
        shift_pixels=1,
        precision="auto",
    ),
}


def resolve_recipe(name: str, *, settings: Iterable[str] = ()) -> Recipe:
    """Return a named recipe with `key=value` settings applied to it or to its network.

    Raises:
        UsageError: an unknown recipe or key (the nearest is suggested), or a value of the wrong type or range.
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{suggest(name, RECIPES)}; known: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    own: dict[str, Any] = {}
    inner: dict[str, Any] = {}
    for setting in settings:
        _sort_setting(setting, own, inner)
    # All at once: a kernel that needs another padding may be named before it.
    return replace(recipe, **own, network=replace(recipe.network, **inner))


def _sort_setting(setting: str, own: dict[str, Any], inner: dict[str, Any]) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise UsageError(f"--set {setting!r} has no value; write it as key=value")
    of_recipe = {item.name: item.type for item in fields(Recipe) if item.name not in {"name", "network"}}
    of_network = {item.name: item.type for item in fields(NetworkConfig) if item.name not in DATA_FIELDS}
    known = [*of_recipe, *of_network]
    if key in of_recipe:
        own.update(_parsed(key, text, of_recipe))
    elif key in of_network:
        inner.update(_parsed(key, text, of_network))
    else:
        raise UsageError(f"unknown recipe key {key!r}{suggest(key, known)}; known: {', '.join(known)}")


def _parsed(key: str, text: str, types: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"int": int, "float": float, "str": str}
    kind = kinds[types[key]]
    try:
        return {key: kind(text)}
    except ValueError as error:
        raise UsageError(f"{key} is {text!r}; expected {'a whole number' if kind is int else 'a number'}") from error
