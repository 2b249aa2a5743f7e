"""Trainings of a second or less: generated images, a network of a few hundred weights, a listener that breaks in."""

from __future__ import annotations

__all__ = [
    "EVERYTHING",
    "SMALL",
    "Listener",
    "begin",
    "go_on",
    "make_bars",
    "read_left",
    "small_recipe",
    "take_stratified",
]

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.artifacts import ArtifactStore
from toolkit.data.dataset import Dataset, Split
from toolkit.durable import sha256_file
from toolkit.training.config import ResumeConfig, TrainConfig
from toolkit.training.recipe import Recipe
from toolkit.training.recipe_catalog import resolve_recipe
from toolkit.training.resume import resume_run
from toolkit.training.train import TrainReport, train

SMALL = (
    "conv1_channels=4",
    "conv2_channels=4",
    "hidden_units=16",
    "epochs=2",
    "batch_size=16",
    "learning_rate=0.002",
    "precision=float32",
)
# Whatever a training can have that a resumed one could forget.
EVERYTHING = (
    "normalisation=batch",
    "average_decay=0.9",
    "rotation_degrees=10",
    "shift_pixels=1",
    "clutter_probability=0.3",
    "blur_probability=0.3",
    "standardisation=image",
    "batch_shift_pixels=1",
)


def make_bars(count: int = 100) -> Dataset:
    """Return images with a bright bar whose direction is the class; a fifth of `count` is held out when training."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 40, (count + 20, 28, 28), np.uint8), random.integers(0, 2, count + 20)
    for image, label, place in zip(images, labels, random.integers(4, 24, count + 20), strict=True):
        image[(slice(None), place) if label else place] = 255
    first, rest = slice(0, count), slice(count, None)
    return Dataset(
        name="bars",
        train=Split(images=images[first], labels=labels[first]),
        test=Split(images=images[rest], labels=labels[rest]),
        classes=("row", "column"),
        licence="x",
        polarity="any",
        fit="stretch",
    )


def small_recipe(*settings: str, base: str = "fast") -> Recipe:
    """Return a recipe of two epochs on a tiny network."""
    return resolve_recipe(base, settings=[*SMALL, *settings])


class Listener:
    """Keeps what it hears, and calls back: before the first step with 0, after the n-th step heard with n.

    Args:
        on_count: may raise, or send a signal to its own process.
    """

    def __init__(self, on_count: Callable[[int], None] = lambda _: None) -> None:
        self._on_count = on_count
        self.steps = 0
        self.messages: list[str] = []
        self.run: Path | None = None

    def on_start(self, *, run: Path, **_: object) -> None:
        self.run = run
        self._on_count(0)

    def on_resume(self, messages: list[str]) -> None:
        self.messages += messages

    def on_step(self, done: int, total: int | None) -> None:
        del done, total
        self.steps += 1
        self._on_count(self.steps)

    def on_epoch(self, rows: list[Any], *, epochs: int, run: Path) -> None: ...


def begin(
    root: Path, recipe: Recipe, *, data: Dataset | None = None, listener: Listener | None = None, **config: Any
) -> TrainReport:
    """Train on the CPU with one thread into a store, keeping every epoch."""
    settings = TrainConfig(**{"recipe": recipe, "device": "cpu", "threads": 1, "keep_every": 1, **config})
    return train(data or make_bars(), settings, store=ArtifactStore(root=root), listener=listener or Listener())


def go_on(root: Path, *, data: Dataset | None = None, listener: Listener | None = None, **config: Any) -> TrainReport:
    """Resume the run that was begun last."""
    store = ArtifactStore(root=root)
    run = store.latest_started_run()
    return resume_run(
        run, data or make_bars(), config=ResumeConfig(**config), store=store, listener=listener or Listener()
    )


def read_left(run: Path) -> dict[str, Any]:
    """Return what must not depend on interruptions: the hashes of all checkpoints, the history but for its seconds."""
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    tensors = {path.name: sha256_file(path) for path in sorted((run / "checkpoints").glob("*.safetensors"))}
    others = sorted(path.name for path in (run / "checkpoints").iterdir() if path.name not in tensors)
    return {
        "history": [{key: text for key, text in row.items() if key != "seconds"} for row in rows],
        "checkpoints": tensors,
        "others": others,
        "top": sorted(path.name for path in run.iterdir() if path.is_file()),
    }


def take_stratified(split: Split, per_class: int) -> Split:
    """The rule: `per_class` images of each class, evenly spaced over the class's own, in the split's order.

    Of a class with n images those numbered floor(i * n / per_class), i = 0 ... per_class - 1. So every stretch of the
    result, its end included, mixes the classes as the full set does. (The first images instead would leave only the
    rarest class at the end, where the validation set is cut off.)
    """
    positions = [np.flatnonzero(split.labels == label) for label in np.unique(split.labels)]
    chosen = [own[np.arange(per_class) * len(own) // per_class] for own in positions]
    return split.take(np.sort(np.concatenate(chosen)))
