"""A recipe: how to train, as frozen settings with a name, and what each field can be set to; needs no torch."""

from __future__ import annotations

__all__ = ["FOLLOWING", "LIMITS", "OF_NETWORK", "OF_RECIPE", "Recipe", "kind_of", "parse_value", "require_kinds"]

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from toolkit.errors import UsageError, suggest
from toolkit.network.config import DATA_FIELDS, NetworkConfig
from toolkit.network.ranges import SHARE, Limits, Range, check_limits
from toolkit.plain import to_plain

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset

# What each field may be set to: a range, or some words.
LIMITS: Limits = {
    "epochs": Range(1, 100_000),
    "batch_size": Range(1, 1_000_000),
    "optimizer": ("adam", "adamw"),
    "learning_rate": Range(0, 100, above=True, below=True),
    "weight_decay": Range(0, 10, below=True),
    "schedule": ("constant", "onecycle"),
    "warmup_fraction": Range(0, 1, above=True, below=True),
    "label_smoothing": SHARE,
    **dict.fromkeys(("batch_shift_pixels", "shift_pixels"), Range(0, 64, below=True)),
    "rotation_degrees": Range(0, 180),
    **dict.fromkeys(("scale", "shear", "clutter_probability", "blur_probability"), Range(0, 1)),
    "clutter_pixels": Range(1, 128),
    "blur_pixels": Range(0, 128, above=True),
    "average_decay": SHARE,
    "precision": ("float32", "auto"),
}
# What follows the number of images where nobody chose it: docs/decisions/0018-small-sets.md.
FOLLOWING = ("batch_size", "epochs", "learning_rate")
STEPS_AN_EPOCH = 16
FEWEST_STEPS = 300
SMALLEST_BATCH = 4
MOST_EPOCHS_ADDED = 100
# Names and what follows from other fields; the network's fields are set by their own names.
UNSETTABLE = {"name", "base", "network", "follows_size"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        name: what it is called; results carry it.
        base: the product's recipe that it started from; empty for those recipes themselves.
        epochs: passes over the training images.
        batch_size: images in one step, over all processes.
        optimizer: `adam` or `adamw`.
        learning_rate: constant rate, or the peak of the schedule.
        weight_decay: decoupled weight decay of weights (not of biases and normalisations); `adamw` only.
        schedule: `constant` or `onecycle` (Smith and Topin 2017: up, then down to nearly nothing).
        warmup_fraction: share of the steps in which `onecycle` climbs, in (0, 1).
        label_smoothing: weight taken from the true class and spread evenly, in [0, 1).
        batch_shift_pixels: each batch is shifted as a whole by up to this many whole pixels in each direction.
        shift_pixels: each image is shifted by up to this many pixels in each direction, fractions included.
        rotation_degrees: each image is turned by up to this angle either way.
        scale: each image is stretched by a factor of up to 1 + scale, or squeezed by it, along each axis.
        shear: each image is slanted by up to this many pixels a pixel.
        clutter_probability: share of the images in which one rectangle also shows what another image of the batch has
            there, the brighter of both: strokes that do not belong to the object.
        clutter_pixels: the rectangle's longest side; its sides have 1 to so many pixels.
        blur_probability: share of the images that are blurred.
        blur_pixels: the Gaussian's largest standard deviation in pixels; each is drawn from 0 to so many.
        average_decay: decay of an exponential moving average of the weights, which is what is judged and exported;
            0 for none, in [0, 1).
        precision: `float32`, or `auto` for bfloat16 products where the device is fast at them.
        network: the network's hyper-parameters; its sizes follow the data.
        follows_size: those of `batch_size`, `epochs` and `learning_rate` that nobody chose for the data at hand:
            `for_count` fits them to its size. Not recorded: what was trained with is settled.
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
    batch_shift_pixels: int = 0
    shift_pixels: float = 0.0
    rotation_degrees: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    clutter_probability: float = 0.0
    clutter_pixels: float = 8.0
    blur_probability: float = 0.0
    blur_pixels: float = 2.0
    average_decay: float = 0.0
    precision: str = "float32"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    base: str = ""
    follows_size: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_limits({key: getattr(self, key) for key in LIMITS}, LIMITS)

    @property
    def warps_images(self) -> bool:
        """Whether images are changed one by one."""
        geometric = (self.shift_pixels, self.rotation_degrees, self.scale, self.shear)
        return any((*geometric, self.clutter_probability, self.blur_probability))

    def for_count(self, images: int) -> Recipe:
        """Return the recipe fitted to a number of training images, in what follows it; nothing does from then on.

        A batch is small enough for about 16 steps an epoch, but not under 4, and the rate falls with the root of it, as
        Adam's should (Malladi et al. 2022, arXiv 2205.10287); epochs are enough for 300 steps, but not over 100 for
        their sake. A recipe's own values are the largest batch and rate and the fewest epochs, so that with 4,000
        images neither of those two changes, and with 40,000 nothing does.
        """
        batch_size, epochs, rate = self.batch_size, self.epochs, self.learning_rate
        if "batch_size" in self.follows_size:
            wanted = 2 ** round(math.log2(max(1.0, images / STEPS_AN_EPOCH)))
            batch_size = min(batch_size, max(SMALLEST_BATCH, wanted))
        if "learning_rate" in self.follows_size and batch_size < self.batch_size:
            rate = float(f"{rate * math.sqrt(batch_size / self.batch_size):.3g}")
        fitted = replace(self, batch_size=batch_size, learning_rate=rate, follows_size=())
        if "epochs" in self.follows_size:
            epochs = max(epochs, min(MOST_EPOCHS_ADDED, math.ceil(FEWEST_STEPS / fitted.count_steps(images))))
        return replace(fitted, epochs=epochs)

    def count_steps(self, images: int) -> int:
        """Return the steps of one pass over so many images.

        One that would be left alone joins the batch before it: a batch normalisation has nothing to compare it with.
        """
        whole, rest = divmod(images, self.batch_size)
        return max(1, whole + (rest > 1))

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values, the network's settings among them under `network`."""
        return {name: value for name, value in to_plain(self).items() if name != "follows_size"}

    def for_dataset(self, data: Dataset) -> Recipe:
        """Return the recipe with the network's sizes taken from a data set."""
        return self.for_data(height=data.height, width=data.width, channels=data.channels, classes=len(data.classes))

    def for_data(self, *, height: int, width: int, channels: int, classes: int) -> Recipe:
        """Return the recipe with these sizes of the network."""
        return replace(
            self, network=replace(self.network, height=height, width=width, channels=channels, classes=classes)
        )


OF_RECIPE = {item.name: str(item.type) for item in fields(Recipe) if item.name not in UNSETTABLE}
OF_NETWORK = {item.name: str(item.type) for item in fields(NetworkConfig) if item.name not in DATA_FIELDS}
KIND_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,)}
KIND_WORDS = {"int": "a whole number", "float": "a number", "str": "a word"}


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
        value: int | float | str = KIND_TYPES[kind][0](text)
    except ValueError as error:
        raise UsageError(f"{key} is {text!r}; expected {KIND_WORDS[kind]}") from error
    return value


def require_kinds(values: Mapping[str, Any], *, where: str) -> None:
    """Refuse values that are not of their fields' kinds.

    Raises:
        UsageError: there is no such field, or its value is of another kind or beyond what a float can be.
    """
    for key, value in values.items():
        kind = kind_of(key, where=where)
        if not isinstance(value, KIND_TYPES[kind]) or isinstance(value, bool):
            raise UsageError(f"{where}: {key} is {value!r}; expected {KIND_WORDS[kind]}")
        if kind == "float" and isinstance(value, int) and abs(value) > sys.float_info.max:
            seen = f"a number of {len(str(abs(value)))} digits"
            raise UsageError(f"{where}: {key} is {seen}; expected at most {sys.float_info.max:.2g}")
