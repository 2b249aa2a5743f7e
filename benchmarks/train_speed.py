"""How much sooner the product's recipes are done than the tutorial's 30 epochs written in plain PyTorch.

Run by hand, on a quiet machine:  python benchmarks/train_speed.py --repeats 3

The baselines are what a newcomer writes: float32, Adam at 1e-4, batches of 100, once fed by a DataLoader, once by
indexing a tensor. One epoch of each is timed and extrapolated to 30. The recipes are timed whole, from the images in
memory to the last checkpoint on disk. `long` is timed for one epoch with its augmentation and one without. Every timing
has a process of its own, made as its user would make it (the recipes' as `toolkit train` does); they are interleaved,
all on the same 60,000 images, and so is the rate of a matrix product, the floor that the machine sets.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TUTORIAL_EPOCHS = 30
BATCH = 100
GOALS = {"speedrun": 60.0, "fast": 22.0}
# An augmentation that halved the speed would be at 2.
AUGMENTATION_LIMIT = 2.0
PRODUCT_SIDE = 1024


class Silent:
    """Hears nothing."""

    def on_start(self, **_: Any) -> None:
        """Ignore it."""

    def on_resume(self, messages: list[str]) -> None:
        """Ignore it."""

    def on_step(self, done: int, total: int | None) -> None:
        """Ignore it."""

    def on_epoch(self, rows: list[Any], **_: Any) -> None:
        """Ignore it."""


def main() -> None:
    """Time, print, write; or, as a child, do one task and print its seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("artifacts/reports/train-speed.json"))
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(TASKS[arguments.task]())
        return
    values: dict[str, list[float]] = {name: [] for name in TASKS}
    for repeat in range(arguments.repeats):
        for name in TASKS:
            values[name].append(_run_child(name))
            print(f"repeat {repeat + 1}: {name}: {values[name][-1]:.1f}", flush=True)
    _write_report(values, arguments.output)


def _run_child(name: str) -> float:
    done = subprocess.run([sys.executable, __file__, "--task", name], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def _write_report(values: dict[str, list[float]], output: Path) -> None:
    from toolkit.durable import write_json
    from toolkit.environment import describe_environment

    baselines = [min(pair) for pair in zip(*(values[name] for name in TASKS if name.startswith("plain")), strict=True)]
    ratios = {name: _ratios(baselines, values[name]) for name in GOALS}
    for name, found in ratios.items():
        print(f"{name}: {_describe(found)} times sooner than the faster baseline (goal {GOALS[name]:.0f})")
    cost = _ratios(values["an epoch of long"], values["an epoch of long, images unchanged"])
    print(f"augmentation: an epoch takes {_describe(cost)} times as long (halving the speed: {AUGMENTATION_LIMIT:.0f})")
    report = {
        "schema": "toolkit/benchmark-train-speed/2",
        "command": " ".join(sys.argv),
        "environment": describe_environment(),
        "units": {name: "GFLOP/s" if name.endswith("product") else "s" for name in TASKS},
        "values": values,
        "ratios": ratios,
        "goals": GOALS,
        "augmentation_ratio": cost,
    }
    write_json(output, report)


def _ratios(numerators: list[float], denominators: list[float]) -> list[float]:
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def _describe(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} over {len(ratios)} repeats)"


def _baseline(batches: Callable[[Tensor, Tensor], Iterator[tuple[Tensor, Tensor]]]) -> float:
    import torch
    from torch import nn

    from toolkit.data import load_dataset

    data = load_dataset("mnist")
    images = (torch.from_numpy(data.train.images).float().unsqueeze(1) - 33.3) / 78.6
    labels = torch.from_numpy(data.train.labels)
    network = nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 10),
    )  # fmt: skip
    optimizer, criterion = torch.optim.Adam(network.parameters(), lr=1e-4), nn.CrossEntropyLoss()
    start = time.perf_counter()
    for batch, target in batches(images, labels):
        optimizer.zero_grad()
        criterion(network(batch), target).backward()
        optimizer.step()
    return TUTORIAL_EPOCHS * (time.perf_counter() - start)


def _loader_batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    from torch.utils.data import DataLoader, TensorDataset

    yield from DataLoader(TensorDataset(images, labels), batch_size=BATCH, shuffle=True)


def _indexed_batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    import torch

    for chosen in torch.randperm(len(images)).split(BATCH):
        yield images[chosen], labels[chosen]


def _recipe(name: str, **changes: Any) -> float:
    from toolkit.training.process import prepare_process

    prepare_process()
    from toolkit.artifacts import ArtifactStore
    from toolkit.data import load_dataset
    from toolkit.training.config import TrainConfig
    from toolkit.training.recipe_catalog import RECIPES
    from toolkit.training.train import train

    data = load_dataset("mnist")
    config = TrainConfig(recipe=replace(RECIPES[name], **changes), all_data=True)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(data, config, store=ArtifactStore(root=Path(folder)), listener=Silent())
        return time.perf_counter() - start


def _product_rate(dtype: str) -> float:
    import torch

    left, right = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE).to(getattr(torch, dtype)) for _ in range(2))
    times = []
    for _ in range(200):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * PRODUCT_SIDE**3 / statistics.median(times) / 1e9


UNCHANGED = {"shift_pixels": 0.0, "rotation_degrees": 0.0, "scale": 0.0, "shear": 0.0}
TASKS: dict[str, Callable[[], float]] = {
    "plain PyTorch, DataLoader": lambda: _baseline(_loader_batches),
    "plain PyTorch, indexing": lambda: _baseline(_indexed_batches),
    "speedrun": lambda: _recipe("speedrun"),
    "fast": lambda: _recipe("fast"),
    "an epoch of long": lambda: _recipe("long", epochs=1),
    "an epoch of long, images unchanged": lambda: _recipe("long", epochs=1, **UNCHANGED),
    "float32 product": lambda: _product_rate("float32"),
    "bfloat16 product": lambda: _product_rate("bfloat16"),
}

if __name__ == "__main__":
    main()
