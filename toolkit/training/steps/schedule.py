"""The learning rate as a function of the place in the training; nothing is kept between steps."""

from __future__ import annotations

__all__ = ["Cycle", "find_cycle", "rate_at", "rate_in_epoch"]

import math
from collections.abc import Sequence
from typing import NamedTuple

from toolkit.training.recipe import Recipe

# torch.optim.lr_scheduler.OneCycleLR's defaults: the rate starts at peak/25 and ends at peak/25/10^4.
START_DIVISOR = 25.0
END_DIVISOR = 25.0 * 1e4


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
        return _between(peak / START_DIVISOR, peak, step / top)
    return _between(peak, peak / END_DIVISOR, (step - top) / (steps - 1 - top))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))
