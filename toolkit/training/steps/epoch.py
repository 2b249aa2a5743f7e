"""The training loop, top to bottom, and its learning rate: a function of the place alone, nothing of which is kept.

Shapes: N images, H rows, W columns, B images in a global batch, K classes.
"""

from __future__ import annotations

__all__ = [
    "AfterStep",
    "Cycle",
    "count_right",
    "find_cycle",
    "predict_logits",
    "rate_at",
    "rate_in_epoch",
    "standardise",
    "train_epoch",
]

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from toolkit.data.images import PIECE_PIXELS, Split
from toolkit.errors import DataError
from toolkit.network.cnn import CNN
from toolkit.training.process import StopRequest
from toolkit.training.recipe import Recipe
from toolkit.training.steps.augment import augment, draw_batch_shift, draw_warps
from toolkit.training.steps.seeding import derive_seed, make_generator
from toolkit.training.steps.state import TrainingState, set_rate, update_average
from toolkit.training.steps.step import step_once

AfterStep = Callable[[int, int], None]
# torch.optim.lr_scheduler.OneCycleLR's defaults: the rate starts at peak/25 and ends at peak/25/10^4.
START_DIVISOR = 25.0
END_DIVISOR = 25.0 * 1e4


def train_epoch(
    state: TrainingState,
    images: Tensor,
    *,
    labels: Tensor,
    recipe: Recipe,
    cycle: Cycle,
    places: Tensor | None = None,
    stop: StopRequest | None = None,
    after_step: AfterStep | None = None,
) -> None:
    """Pass over the images in a random order, from the state's position to the end of its epoch.

    Args:
        state: changed in place; its position then stands at the epoch's last step.
        images: uint8 `[M, H, W]` or `[M, H, W, 3]`, on the network's device.
        labels: int64 `[N]`, of those that are trained on, on the same device.
        recipe: batch size, schedule and augmentation.
        cycle: the epochs that share the schedule.
        places: int64 `[N]`, which of the images are trained on, on the same device; None: all.
        stop: a signal to tell the other processes of; all see it after the same step, in `state.stop_signal`.
        after_step: called with the steps done and their number; what it raises ends the epoch where it is.

    Raises:
        CheckFailedError: the loss or a gradient is not finite; nothing was stepped with it.
        ResourceError: another process of the group is gone.
    """
    state.forward.train()
    place = state.position
    steps = recipe.count_steps(len(labels))
    order = torch.randperm(len(labels), generator=make_generator(state.seed, "order", place.epoch)).to(images.device)
    batches = torch.tensor_split(order, [step * recipe.batch_size for step in range(1, steps)])
    for step in range(place.step, steps):
        set_rate(state.optimizer, rate_in_epoch(recipe, cycle, epoch=place.epoch, step=step, steps=steps))
        chosen = batches[step]
        batch = _make_batch(state, images[chosen if places is None else places[chosen]], recipe=recipe)
        target = labels[chosen]
        torch.manual_seed(derive_seed(state.seed, "dropout", place.updates, state.group.rank))
        told = step_once(state, batch, target=target, recipe=recipe, stop=stop)
        place.step, place.updates = step + 1, place.updates + 1
        place.loss_sum, place.right = place.loss_sum + told.loss_sum, place.right + told.right
        update_average(state, recipe)
        if after_step is not None:
            after_step(step + 1, steps)


def standardise(training: Split) -> tuple[Tensor, Tensor]:
    """Return the per-pixel mean and the one standard deviation over all pixels, both in raw pixel units (0 to 255).

    The tutorial standardises so. Sums are whole numbers, so the result does not depend on threads or order.

    Raises:
        DataError: every pixel has the same value, so that nothing can be divided by the deviation.
    """
    sums, numbers = np.zeros(training.image_shape, np.int64), np.zeros(256, np.int64)
    # In pieces: counting makes eight bytes of each pixel, 6 GB of a million images of 28x28. In the order in which they
    # lie: a sum knows none, and a disk reads neighbours sooner.
    for piece in training.take(np.argsort(training.places)).iterate_pieces():
        sums += piece.sum(axis=0, dtype=np.uint32)
        numbers += np.bincount(piece.ravel(), minlength=256)
    mean, counts = torch.from_numpy(sums / len(training)), torch.from_numpy(numbers).to(torch.float64)
    values = torch.arange(256, dtype=torch.float64)
    center = float((counts * values).sum() / counts.sum())
    variance = float((counts * (values - center) ** 2).sum() / counts.sum())
    if variance == 0:
        raise DataError("every pixel of the training images has the same value; there is nothing to learn from")
    return mean.float(), torch.tensor(math.sqrt(variance), dtype=torch.float32)


def predict_logits(network: CNN, images: Tensor, *, places: Tensor | None = None) -> Tensor:
    """Return float32 logits `[N, K]` of a network in eval mode, computed without autocast.

    Args:
        network: on the images' device.
        images: uint8 `[M, H, W]` or `[M, H, W, 3]`.
        places: int64 `[N]`, which of them; None: all.
    """
    network.eval()
    size = max(1, PIECE_PIXELS // (network.config.views * images[0].numel()))
    pieces = torch.split(images, size) if places is None else (images[some] for some in torch.split(places, size))
    with torch.inference_mode():
        return torch.cat([network(piece) for piece in pieces]).float()


def count_right(logits: Tensor, labels: Tensor) -> int:
    """Return how many rows of logits `[N, K]` are largest at their label `[N]`."""
    return int((logits.argmax(dim=1) == labels).sum())


class Cycle(NamedTuple):
    """Epochs that share one schedule.

    Attributes:
        first_epoch: epochs done before it.
        epochs: its length.
    """

    first_epoch: int
    epochs: int


def find_cycle(cycles: Sequence[int], epoch: int) -> Cycle:
    """Return the cycle that an epoch (counted from 0) belongs to.

    Args:
        cycles: lengths in epochs: the recipe's own, then one for each continuation.
        epoch: at least 0 and under their sum.
    """
    first = 0
    for length in cycles:
        if epoch < first + length:
            return Cycle(first, length)
        first += length
    raise ValueError(f"epoch {epoch} is past the cycles {list(cycles)}")


def rate_in_epoch(recipe: Recipe, cycle: Cycle, *, epoch: int, step: int, steps: int) -> float:
    """Return the learning rate of a step of an epoch.

    Args:
        recipe: peak rate, schedule and warm-up.
        cycle: the epoch's.
        epoch: counted from 0 in the run.
        step: counted from 0 in the epoch.
        steps: of one epoch.
    """
    return rate_at(recipe, step=(epoch - cycle.first_epoch) * steps + step, steps=cycle.epochs * steps)


def rate_at(recipe: Recipe, *, step: int, steps: int) -> float:
    """Return the learning rate of a step.

    `onecycle` climbs and falls along half cosines as torch's OneCycleLR does (Smith and Topin 2017, arXiv 1708.07120).

    Args:
        recipe: peak rate, schedule and warm-up.
        step: counted from 0 in the cycle.
        steps: of the whole cycle.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    peak = recipe.learning_rate
    top = recipe.warmup_fraction * steps - 1
    if step < top:
        return _between(peak / START_DIVISOR, peak, share=step / top)
    return _between(peak, peak / END_DIVISOR, share=(step - top) / (steps - 1 - top))


def _make_batch(state: TrainingState, images: Tensor, *, recipe: Recipe) -> Tensor:
    generator = make_generator(state.seed, "augment", state.position.updates)
    warps, shift = None, (0, 0)
    if recipe.warps_images:
        warps = draw_warps(recipe, count=len(images), generator=generator).to(images.device)
    if recipe.batch_shift_pixels:
        shift = draw_batch_shift(recipe.batch_shift_pixels, generator)
    return augment(images, warps=warps, shift=shift)


def _between(start: float, end: float, *, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))
