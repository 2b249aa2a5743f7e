"""How much sooner the product's recipes are done than the tutorial's 30 epochs written in plain PyTorch.

Run by hand, on a quiet machine:  python benchmarks/train_speed.py --repeats 3

The baselines are what a newcomer writes: float32, Adam at 1e-4, batches of 100, once fed by a DataLoader, once by
indexing a tensor. One epoch of each is timed and extrapolated to 30. The recipes are timed whole, from the images in
memory to the last checkpoint on disk. Everything is interleaved in this process, on the same 60,000 images.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from toolkit.training.idle import yield_idle_cores

yield_idle_cores()  # as `toolkit train` does; the baselines have it too

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from toolkit.artifacts import ArtifactStore
from toolkit.data import load_dataset
from toolkit.data.dataset import Dataset
from toolkit.durable import write_json
from toolkit.environment import describe_environment
from toolkit.training.recipes import RECIPES
from toolkit.training.train import TrainConfig, train

TUTORIAL_EPOCHS = 30
BATCH = 100
GOALS = {"speedrun": 25.0, "fast": 12.0}


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
    """Time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("artifacts/reports/train-speed.json"))
    arguments = parser.parse_args()
    data = load_dataset("mnist")
    images = (torch.from_numpy(data.train.images).float().unsqueeze(1) - 33.3) / 78.6
    labels = torch.from_numpy(data.train.labels)
    tasks: dict[str, Callable[[], float]] = {
        "plain PyTorch, DataLoader": lambda: TUTORIAL_EPOCHS * _baseline_epoch(_loader_batches, images, labels),
        "plain PyTorch, indexing": lambda: TUTORIAL_EPOCHS * _baseline_epoch(_indexed_batches, images, labels),
        **{name: lambda name=name: _recipe(name, data) for name in GOALS if name in RECIPES},
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(arguments.repeats):
        for name, task in tasks.items():
            seconds[name].append(task())
            print(f"repeat {repeat + 1}: {name}: {seconds[name][-1]:.1f} s", flush=True)
    report = {"schema": "toolkit/benchmark-train-speed/1", "seconds": seconds, "environment": describe_environment()}
    report["ratios"] = {name: _ratios(seconds, name) for name in GOALS if name in seconds}
    for name, ratios in report["ratios"].items():
        print(
            f"{name}: {statistics.median(ratios):.1f} times sooner than the faster baseline "
            f"({min(ratios):.1f} to {max(ratios):.1f} over {len(ratios)} repeats; goal {GOALS[name]:.0f})"
        )
    write_json(arguments.output, report)


def _ratios(seconds: dict[str, list[float]], name: str) -> list[float]:
    plain = [seconds[key] for key in seconds if key.startswith("plain")]
    return [min(baseline) / own for *baseline, own in zip(*plain, seconds[name], strict=True)]


def _baseline_epoch(
    batches: Callable[[Tensor, Tensor], Iterator[tuple[Tensor, Tensor]]], images: Tensor, labels: Tensor
) -> float:
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
    return time.perf_counter() - start


def _loader_batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield from DataLoader(TensorDataset(images, labels), batch_size=BATCH, shuffle=True)


def _indexed_batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for chosen in torch.randperm(len(images)).split(BATCH):
        yield images[chosen], labels[chosen]


def _recipe(name: str, data: Dataset) -> float:
    config = TrainConfig(recipe=RECIPES[name], all_data=True)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(data, config, store=ArtifactStore(root=Path(folder)), listener=Silent())
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
