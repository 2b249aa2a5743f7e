"""Everything that changes from step to step, and its making."""

from __future__ import annotations

__all__ = ["Position", "TrainingState", "make_state", "set_rate", "update_average"]

import copy
import inspect
from dataclasses import dataclass, field

import torch
from torch import nn

from toolkit.network.cnn import CNN
from toolkit.training.recipe import Recipe
from toolkit.training.steps.ddp import distribute
from toolkit.training.steps.process_group import Group

# The average follows every fourth step: a quarter of the cost for the same average.
AVERAGE_EVERY = 4


@dataclass(slots=True, kw_only=True)
class Position:
    """Where a training is, and the sums of the epoch under way.

    Attributes:
        epoch: whole epochs done.
        step: steps done in the epoch under way.
        updates: optimizer steps in all.
        loss_sum: sum of the losses of the epoch's images so far.
        right: of them, labelled right while training.
        seconds: wall time of the epoch so far.
    """

    epoch: int = 0
    step: int = 0
    updates: int = 0
    loss_sum: float = 0.0
    right: int = 0
    seconds: float = 0.0

    def finish_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch, self.step, self.loss_sum, self.right, self.seconds = self.epoch + 1, 0, 0.0, 0, 0.0


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """What training changes.

    Attributes:
        network: the trained network, on its device, in its memory layout.
        forward: what is called in training: the network, or DDP around it.
        optimizer: holds the network's parameters.
        average: a second network holding the moving average of the weights; None without.
        bfloat16: whether products are computed in bfloat16.
        seed: of everything random.
        group: the processes that train together.
        position: where the training is.
        stop_signal: number of the signal that some process of the group was sent; 0 while none was.
    """

    network: CNN
    forward: nn.Module
    optimizer: torch.optim.Optimizer
    average: CNN | None
    bfloat16: bool
    seed: int
    group: Group
    position: Position = field(default_factory=Position)
    stop_signal: int = 0

    @property
    def judged(self) -> CNN:
        """The network that is judged and exported: the average where there is one."""
        return self.network if self.average is None else self.average


def make_state(
    network: CNN,
    recipe: Recipe,
    *,
    seed: int,
    bfloat16: bool,
    group: Group | None = None,
) -> TrainingState:
    """Return a network with its optimizer, ready for the first step.

    Args:
        network: on its device.
        recipe: how to train.
        seed: of the shuffling, the augmentation and the dropout.
        bfloat16: compute products in bfloat16, with channels last.
        group: the processes that train together.
    """
    group = group or Group()
    if bfloat16:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    forward = distribute(network) if group.size > 1 else network
    return TrainingState(
        network=network,
        forward=forward,
        optimizer=_make_optimizer(network, recipe),
        average=copy.deepcopy(network) if recipe.average_decay else None,
        bfloat16=bfloat16,
        seed=seed,
        group=group,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group of parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def update_average(state: TrainingState, recipe: Recipe) -> None:
    """Move the average towards the weights, every few steps; young averages move faster."""
    updates = state.position.updates
    if state.average is None or updates % AVERAGE_EVERY:
        return
    count = updates // AVERAGE_EVERY
    decay = min(recipe.average_decay**AVERAGE_EVERY, (1 + count) / (10 + count))
    targets, sources = (list(item.state_dict().values()) for item in (state.average, state.network))
    floats = [index for index, item in enumerate(targets) if item.is_floating_point()]
    torch._foreach_lerp_([targets[i] for i in floats], [sources[i] for i in floats], 1 - decay)
    for index in set(range(len(targets))) - set(floats):
        targets[index].copy_(sources[index])


def _make_optimizer(network: CNN, recipe: Recipe) -> torch.optim.Optimizer:
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    weights = [item for item in network.parameters() if item.ndim > 1]
    # Decay draws biases and normalisations away from where they belong for nothing (He et al. 2019, arXiv 1812.01187).
    others = [item for item in network.parameters() if item.ndim <= 1]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    fused = weights[0].device.type in {"cpu", "cuda"}
    return _without_compiler(kinds[recipe.optimizer])(groups, lr=recipe.learning_rate, fused=fused)


def _without_compiler(kind: type[torch.optim.Adam]) -> type[torch.optim.Adam]:
    """Return the optimizer's class with its methods as they are written.

    torch wraps them to tell its compiler to keep out, and imports all of that for it: a second of the ten that
    `speedrun` takes. Nothing is compiled here.
    """
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "step")}
    return type(kind.__name__, (kind,), {**plain, "step": torch.no_grad()(plain["step"])})
