"""The training loop, top to bottom.

Shapes: N images, H rows, W columns, B images in a batch, K classes.
"""

from __future__ import annotations

__all__ = ["TrainingState", "make_state", "predict_logits", "standardise", "train_epoch"]

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.errors import CheckFailedError, DataError
from toolkit.network.cnn import CNN
from toolkit.training.augment import shift_batch
from toolkit.training.recipe import Recipe

EVALUATION_BATCH = 500

Progress = Callable[[int, int | None], None]


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """Everything that changes from step to step.

    Attributes:
        network: on its device, in its memory layout.
        optimizer: holds the network's parameters.
        schedule: sets the learning rate after every step; None for a constant rate.
        generator: CPU generator of the shuffling and the augmentation.
        bfloat16: whether products are computed in bfloat16.
    """

    network: CNN
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None
    generator: torch.Generator
    bfloat16: bool


def standardise(images_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return the per-pixel mean and the one standard deviation over all pixels, both in raw pixel units (0 to 255).

    The tutorial standardises so. Sums are whole numbers, so the result does not depend on threads or order.

    Args:
        images_NHW: uint8 `[N, H, W]` or `[N, H, W, 3]`.

    Raises:
        DataError: every pixel has the same value, so that nothing can be divided by the deviation.
    """
    mean = images_NHW.sum(dim=0, dtype=torch.int64).to(torch.float64) / len(images_NHW)
    counts = torch.bincount(images_NHW.flatten(), minlength=256).to(torch.float64)
    values = torch.arange(256, dtype=torch.float64)
    center = float((counts * values).sum() / counts.sum())
    variance = float((counts * (values - center) ** 2).sum() / counts.sum())
    if variance == 0:
        raise DataError("every pixel of the training images has the same value; there is nothing to learn from")
    return mean.float(), torch.tensor(math.sqrt(variance), dtype=torch.float32)


def make_state(network: CNN, recipe: Recipe, *, steps: int, seed: int, bfloat16: bool) -> TrainingState:
    """Return a network with its optimizer and schedule, ready for the first step.

    Args:
        network: on its device.
        recipe: how to train.
        steps: steps of the whole training, for the schedule.
        seed: of the shuffling and the augmentation.
        bfloat16: compute products in bfloat16, with channels last.
    """
    if bfloat16:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    fused = next(network.parameters()).device.type in {"cpu", "cuda"}
    optimizer = kinds[recipe.optimizer](
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
    )
    schedule = None
    if recipe.schedule == "onecycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps, pct_start=recipe.warmup_fraction
        )
    generator = torch.Generator().manual_seed(seed)
    return TrainingState(
        network=network, optimizer=optimizer, schedule=schedule, generator=generator, bfloat16=bfloat16
    )


def train_epoch(
    state: TrainingState, images: Tensor, labels: Tensor, *, recipe: Recipe, progress: Progress | None = None
) -> tuple[float, float]:
    """Pass once over the images in a new random order.

    Args:
        state: changed in place.
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`, on the network's device.
        labels: int64 `[N]`, on the same device.
        recipe: batch size and augmentation.
        progress: called with the steps done and their number.

    Returns:
        Mean loss over the images, and the share of them labelled right while training.

    Raises:
        CheckFailedError: the loss is not finite; nothing was stepped with it.
    """
    state.network.train()
    steps = math.ceil(len(images) / recipe.batch_size)
    # Sums stay on the device: reading them at every step would make a GPU wait for the CPU.
    total_loss = torch.zeros((), device=images.device)
    total_right = torch.zeros((), dtype=torch.int64, device=images.device)
    for step, chosen in enumerate(_batches(len(images), state.generator, size=recipe.batch_size, device=images.device)):
        batch = shift_batch(images[chosen], pixels=recipe.shift_pixels, generator=state.generator)
        target = labels[chosen]
        logits = _forward(state, batch)
        loss = functional.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing)
        _check_finite(loss.detach(), step=step, steps=steps)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        state.optimizer.step()
        if state.schedule is not None:
            state.schedule.step()
        total_loss += loss.detach() * len(target)
        total_right += (logits.detach().argmax(dim=1) == target).sum()
        if progress is not None:
            progress(step + 1, steps)
    return float(total_loss) / len(images), int(total_right) / len(images)


def predict_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Return float32 logits `[N, K]` of a network in eval mode, computed without autocast."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(chunk) for chunk in torch.split(images, EVALUATION_BATCH)]).float()


def _batches(count: int, generator: torch.Generator, *, size: int, device: torch.device) -> Iterator[Tensor]:
    order = torch.randperm(count, generator=generator).to(device)
    yield from torch.split(order, size)


def _forward(state: TrainingState, batch: Tensor) -> Tensor:
    with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=state.bfloat16):
        logits: Tensor = state.network(batch)
    return logits.float()


def _check_finite(loss: Tensor, *, step: int, steps: int) -> None:
    if not torch.isfinite(loss):
        raise CheckFailedError(
            f"the loss is {float(loss)} at step {step + 1} of {steps}; nothing was stepped with it: "
            "lower the learning rate"
        )
