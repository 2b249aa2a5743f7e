"""One step on a batch: forward, backward, the check, the update; kernel by kernel, or as one CUDA graph.

Only `capture_on_cuda` touches CUDA; everything around it is tested with a stand-in.

Shapes: B images of the global batch, b of them on this process, K classes.
"""

from __future__ import annotations

__all__ = [
    "EagerStep",
    "GraphedStep",
    "Step",
    "StepResult",
    "capture_on_cuda",
    "require_graphs",
]

import math
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.errors import CheckFailedError, UsageError
from toolkit.training.process import StopRequest
from toolkit.training.recipe import Recipe
from toolkit.training.steps.process_group import Group, lost_neighbours_named
from toolkit.training.steps.state import TrainingState

# Runs before a capture, on a side stream: torch's documentation asks for three (notes/cuda, "CUDA Graphs").
WARM_RUNS = 3
StepBody = Callable[[], None]


class StepResult(NamedTuple):
    """What a step tells of its global batch.

    Attributes:
        loss_sum: sum of the losses.
        right: images labelled right.
    """

    loss_sum: float
    right: int


class Step(Protocol):
    """Steps once; the state's position is that of the step."""

    def __call__(self, batch: Tensor, target: Tensor, *, stop: StopRequest | None) -> StepResult:
        """Step on a global batch `[B, H, W]` or `[B, H, W, 3]` with labels `[B]`."""


class EagerStep:
    """The plain step, over all processes of the group.

    Args:
        state: changed in place.
        recipe: the loss's label smoothing.
    """

    def __init__(self, state: TrainingState, recipe: Recipe) -> None:
        self._state = state
        self._recipe = recipe

    def __call__(self, batch: Tensor, target: Tensor, *, stop: StopRequest | None = None) -> StepResult:
        """Step on this process's share of a global batch.

        Raises:
            CheckFailedError: the loss or a gradient is not finite; nothing was stepped with it.
            ResourceError: another process of the group is gone.
        """
        state, own = self._state, self._state.group.share(len(batch))
        with lost_neighbours_named():
            loss_sum, right = _run_backward(
                state, batch[own], target=target[own], recipe=self._recipe, count=len(batch)
            )
        wants_stop = stop is not None and stop.signal is not None
        told = torch.stack([loss_sum, right.float(), loss_sum.new_tensor(float(wants_stop))])
        loss, hits, stops = state.group.sum(told).tolist()
        gradients = [item.grad for item in state.network.parameters() if item.grad is not None]
        # Every process has the same sums and the same gradients, so all refuse together.
        norm = float(torch.nn.utils.get_total_norm(gradients)) if math.isfinite(loss) else math.nan
        _require_finite(state, loss=loss, norm=norm)
        state.optimizer.step()
        if stops:
            state.stop_signal = (stop.signal if stop else None) or signal.SIGTERM
        return StepResult(loss, int(hits))


def require_graphs(device: str, group: Group) -> None:
    """Refuse graphs where they cannot be.

    Raises:
        UsageError: not on CUDA, or several processes train together.
    """
    if device != "cuda":
        raise UsageError(f"--cuda-graph captures CUDA kernels, the training runs on {device}; leave it out")
    if group.size > 1:
        raise UsageError(f"--cuda-graph trains in one process, not in {group.size}; leave it out")


def capture_on_cuda(body: StepBody) -> StepBody:
    """Warm a body up, capture it, and return its replay.

    Args:
        body: launches kernels on static tensors; it is run `WARM_RUNS` times for real.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_RUNS):
            body()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


class GraphedStep:
    """Steps by replaying a graph; batches of another size (the last of an epoch) go the plain way.

    A step whose loss or gradient is not finite is skipped on the device (the fused optimizers' `found_inf`), then
    refused here.

    Args:
        state: changed in place; its optimizer was made for graphs.
        recipe: the loss's label smoothing.
        capture: turns a body into its replay.
    """

    def __init__(
        self, state: TrainingState, recipe: Recipe, *, capture: Callable[[StepBody], StepBody] = capture_on_cuda
    ) -> None:
        self._state = state
        self._recipe = recipe
        self._capture = capture
        self._eager = EagerStep(state, recipe)
        self._replay: StepBody | None = None

    def __call__(self, batch: Tensor, target: Tensor, *, stop: StopRequest | None = None) -> StepResult:
        """Step on a batch; as `EagerStep`, which says what it raises."""
        # A training resumed at an epoch's last batch meets the small one first. One that was joined by a last image is
        # larger than the others and never captured: all of them would go the plain way.
        is_usual = len(batch) <= self._recipe.batch_size
        if is_usual and (self._replay is None or len(batch) > len(self._batch)):
            self._prepare(batch, target)
        if self._replay is None or batch.shape != self._batch.shape:
            self._state.optimizer.found_inf = None  # type: ignore[attr-defined]  # read by fused optimizers
            return self._eager(batch, target, stop=stop)
        self._batch.copy_(batch)
        self._target.copy_(target)
        self._replay()
        loss, right, norm = self._told.tolist()
        _require_finite(self._state, loss=loss, norm=norm)
        if stop is not None and stop.signal is not None:
            self._state.stop_signal = stop.signal
        return StepResult(loss, int(right))

    def _prepare(self, batch: Tensor, target: Tensor) -> None:
        self._batch, self._target = batch.clone(), target.clone()
        self._told = torch.zeros(3, device=batch.device)
        before = [item.clone() for item in self._tensors()]
        self._replay = self._capture(self._run)
        # Warm runs were real steps (a capture runs nothing): undo them in place, at the addresses that the graph knows.
        after = list(self._tensors())
        fresh = [torch.zeros_like(item) for item in after[len(before) :]]
        for item, value in zip(after, [*before, *fresh], strict=True):
            item.copy_(value)

    @torch.no_grad()
    def _tensors(self) -> Iterator[Tensor]:
        """Yield everything a step changes: parameters and buffers, then the optimizer's, which a fresh one lacks."""
        yield from (item.detach() for item in self._state.network.state_dict().values())
        for kept in self._state.optimizer.state.values():
            yield from kept.values()

    def _run(self) -> None:
        state = self._state
        loss_sum, right = _run_backward(
            state, self._batch, target=self._target, recipe=self._recipe, count=len(self._batch)
        )
        gradients = [item.grad for item in state.network.parameters() if item.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        # Nothing may be asked of the device while a graph is captured: whether to step is decided there.
        is_bad = ~(torch.isfinite(loss_sum) & torch.isfinite(norm))
        state.optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]  # read by fused optimizers
        state.optimizer.step()
        self._told.copy_(torch.stack([loss_sum, right.float(), norm]))


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
