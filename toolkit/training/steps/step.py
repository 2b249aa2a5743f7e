"""One step on a batch: forward, backward, the check, the update.

Shapes: B images of the global batch, b of them on this process, K classes.
"""

from __future__ import annotations

__all__ = ["StepResult", "step_once"]

import math
import signal
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.errors import CheckFailedError
from toolkit.training.process import StopRequest
from toolkit.training.recipe import Recipe
from toolkit.training.steps.process_group import lost_neighbours_named
from toolkit.training.steps.state import TrainingState


class StepResult(NamedTuple):
    """What a step tells of its global batch.

    Attributes:
        loss_sum: sum of the losses.
        right: images labelled right.
    """

    loss_sum: float
    right: int


def step_once(
    state: TrainingState, batch: Tensor, *, target: Tensor, recipe: Recipe, stop: StopRequest | None = None
) -> StepResult:
    """Step on this process's share of a global batch.

    Args:
        state: changed in place; its position is that of the step.
        batch: the global batch `[B, H, W]` or `[B, H, W, 3]`.
        target: its labels `[B]`.
        recipe: the loss's label smoothing.
        stop: a signal to tell the other processes of.

    Raises:
        CheckFailedError: the loss or a gradient is not finite; nothing was stepped with it.
        ResourceError: another process of the group is gone.
    """
    own = state.group.share(len(batch))
    with lost_neighbours_named():
        loss_sum, right = _run_backward(state, batch[own], target=target[own], recipe=recipe, count=len(batch))
    wants_stop = stop is not None and stop.signal is not None
    told = state.group.sum(torch.stack([loss_sum, right.float(), torch.full_like(loss_sum, wants_stop)]))
    gradients = [item.grad for item in state.network.parameters() if item.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    # The one read of a step: each makes the host wait until the device is through with all before it.
    loss, hits, stops, length = torch.cat([told, norm.reshape(1)]).tolist()
    # Every process has the same sums and the same gradients, so all refuse together.
    _require_finite(state, loss=loss, norm=length)
    state.optimizer.step()
    if stops:
        state.stop_signal = (stop.signal if stop else None) or signal.SIGTERM
    return StepResult(loss, int(hits))


def _run_backward(
    state: TrainingState, batch: Tensor, *, target: Tensor, recipe: Recipe, count: int
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of the global batch's mean loss.

    Args:
        state: holds the network.
        batch: this process's images `[b, H, W]` or `[b, H, W, 3]`.
        target: their labels `[b]`.
        recipe: the loss's label smoothing.
        count: images of the global batch.

    Returns:
        Sum of the losses and number of images labelled right, of this process's images.
    """
    # Its cache of rounded weights is emptied when the outermost autocast ends: inside a program's they'd never change.
    with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=state.bfloat16, cache_enabled=False):
        logits = state.forward(batch)
    loss_sum = functional.cross_entropy(logits.float(), target, label_smoothing=recipe.label_smoothing, reduction="sum")
    state.optimizer.zero_grad(set_to_none=True)
    # The processes' gradients are added up: the mean over the global batch, however it was shared.
    (loss_sum / count).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss_sum.detach(), (logits.detach().argmax(dim=1) == target).sum()


def _require_finite(state: TrainingState, *, loss: float, norm: float) -> None:
    """Refuse to go on with a loss or a gradient that is not finite.

    Raises:
        CheckFailedError: names the step.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return
    what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient's norm is {norm}"
    place = f"step {state.position.step + 1} of epoch {state.position.epoch + 1}"
    raise CheckFailedError(
        f"the {what} at {place}; nothing was stepped with it, what was saved is whole: lower the learning rate"
    )
