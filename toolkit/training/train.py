"""One training from data to run folder."""

from __future__ import annotations

__all__ = ["TrainConfig", "TrainListener", "TrainReport", "train"]

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.artifacts import ArtifactStore, write_json
from toolkit.data.dataset import Dataset, Split
from toolkit.data.split import hold_out
from toolkit.errors import DataError, UsageError
from toolkit.network.checkpoint import write_checkpoint
from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.network.device import TorchMachine, has_fast_bfloat16, select_device
from toolkit.training.describe import describe_run
from toolkit.training.history import EpochRow, History
from toolkit.training.loop import TrainingState, make_state, predict_logits, standardise, train_epoch
from toolkit.training.recipe import Recipe

VALIDATION_COUNT = 10_000
# A fifth is held out where there are fewer than 50,000: at least 2 images each way.
LEAST_IMAGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train and where.

    Attributes:
        recipe: how; the network's sizes are taken from the data.
        seed: of the weights, the shuffling and the augmentation.
        all_data: train on every training image instead of holding the last 10,000 out for validation.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: CPU threads; 0 leaves torch its own choice.
    """

    recipe: Recipe
    seed: int = 0
    all_data: bool = False
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}; expected 0 to 2^63 - 1")
        if self.threads < 0:
            raise UsageError(f"threads is {self.threads}; expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training left.

    Attributes:
        run: the run folder.
        rows: the history.
        device: where it ran.
        precision: `bfloat16` or `float32` products.
        checkpoint_sha256: hash of the last checkpoint.
        seconds: wall time of all epochs.
    """

    run: Path
    rows: tuple[EpochRow, ...]
    device: str
    precision: str
    checkpoint_sha256: str
    seconds: float


class TrainListener(Protocol):
    """Hears what happens while training."""

    def on_start(self, *, network: NetworkConfig, device: str, precision: str, run: Path) -> None:
        """The network is built."""

    def on_step(self, done: int, total: int | None) -> None:
        """A step is done."""

    def on_epoch(self, row: EpochRow, epochs: int) -> None:
        """An epoch is done and saved."""


def train(data: Dataset, config: TrainConfig, *, store: ArtifactStore, listener: TrainListener) -> TrainReport:
    """Train one network and leave a run folder; `latest.json` names it only when it is whole.

    Raises:
        DataError: too few images or classes to learn from.
        ProviderError: the device asked for does not work here.
        CheckFailedError: the loss stopped being finite.
        ResourceError: the results cannot be written.
    """
    if len(data.classes) < 2 or len(data.train) < LEAST_IMAGES:
        raise DataError(
            f"{data.name} has {len(data.train)} training images in {len(data.classes)} classes; "
            f"expected at least {LEAST_IMAGES} images in 2 classes"
        )
    machine = TorchMachine()
    device = select_device(config.device, machine=machine)
    bfloat16 = config.recipe.precision == "auto" and has_fast_bfloat16(device, machine=machine)
    _make_deterministic(config)
    recipe = config.recipe.for_data(
        height=data.height, width=data.width, channels=data.channels, classes=len(data.classes)
    )
    training, validation = _split(data, config)
    images, labels = _to_device(training, device)
    mean, std = standardise(torch.from_numpy(training.images))
    network = CNN(recipe.network, mean=mean, std=std).to(device)
    steps = recipe.epochs * -(-len(images) // recipe.batch_size)
    state = make_state(network, recipe, steps=steps, seed=config.seed, bfloat16=bfloat16)
    run = store.new_run(f"{data.name}-{recipe.name}-s{config.seed}")
    precision = "bfloat16" if bfloat16 else "float32"
    counts = {"train_count": len(training), "validation_count": 0 if validation is None else len(validation)}
    how = {"seed": config.seed, "all_data": config.all_data, "device": device, "precision": precision}
    write_json(run / "config.json", describe_run(data, recipe, network, counts=counts, how=how))
    listener.on_start(network=recipe.network, device=device, precision=precision, run=run)
    start = time.perf_counter()
    held_out = None if validation is None else _to_device(validation, device)
    history, digest = _run_epochs(state, images, labels, held_out, recipe=recipe, run=run, listener=listener)
    store.record(run=run)
    return TrainReport(
        run=run,
        rows=tuple(history.rows),
        device=device,
        precision=precision,
        checkpoint_sha256=digest,
        seconds=time.perf_counter() - start,
    )


def _run_epochs(
    state: TrainingState,
    images: Tensor,
    labels: Tensor,
    held_out: tuple[Tensor, Tensor] | None,
    *,
    recipe: Recipe,
    run: Path,
    listener: TrainListener,
) -> tuple[History, str]:
    history, digest, best = History(run / "history.csv"), "", -1.0
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        loss, accuracy = train_epoch(state, images, labels, recipe=recipe, progress=listener.on_step)
        validation = (None, None) if held_out is None else _validate(state.network, *held_out)
        digest = write_checkpoint(run / "checkpoints" / "last.safetensors", state.network, epoch=epoch)
        if validation[1] is not None and validation[1] > best:
            best = validation[1]
            write_checkpoint(run / "checkpoints" / "best.safetensors", state.network, epoch=epoch)
        row = EpochRow(
            epoch=epoch,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=validation[0],
            validation_accuracy=validation[1],
            learning_rate=float(state.optimizer.param_groups[0]["lr"]),
            seconds=time.perf_counter() - start,
        )
        history.append(row)
        listener.on_epoch(row, recipe.epochs)
    return history, digest


def _make_deterministic(config: TrainConfig) -> None:
    torch.manual_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _split(data: Dataset, config: TrainConfig) -> tuple[Split, Split | None]:
    if config.all_data:
        return data.train, None
    return hold_out(data.train, min(VALIDATION_COUNT, len(data.train.labels) // 5))


def _to_device(split: Split, device: str) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device)


def _validate(network: CNN, images: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = predict_logits(network, images)
    accuracy = int((logits.argmax(dim=1) == labels).sum()) / len(labels)
    return float(functional.cross_entropy(logits, labels)), accuracy
