"""A whole step as one CUDA graph: forward, backward, check and update launched at once instead of kernel by kernel.

Only `capture_on_cuda` touches CUDA; everything around it is tested with a stand-in.
"""

from __future__ import annotations

__all__ = ["GraphedStep", "capture_on_cuda", "require_graphs"]

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from toolkit.errors import UsageError
from toolkit.training.process import StopRequest
from toolkit.training.recipe import Recipe
from toolkit.training.steps.process_group import Group
from toolkit.training.steps.state import TrainingState
from toolkit.training.steps.step import EagerStep, StepResult, require_finite, run_backward

# Runs before a capture, on a side stream: torch's documentation asks for three (notes/cuda, "CUDA Graphs").
WARM_RUNS = 3

StepBody = Callable[[], None]


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
        require_finite(self._state, loss=loss, norm=norm)
        if stop is not None and stop.signal is not None:
            self._state.stop_signal = stop.signal
        return StepResult(loss, int(right))

    def _prepare(self, batch: Tensor, target: Tensor) -> None:
        self._batch, self._target = batch.clone(), target.clone()
        self._told = torch.zeros(3, device=batch.device)
        before = [item.clone() for item in self._tensors()]
        self._replay = self._capture(self._run)
        # Warm runs were real steps: undo them in place, at the addresses that the graph knows.
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
        loss_sum, right = run_backward(
            state, self._batch, target=self._target, recipe=self._recipe, count=len(self._batch)
        )
        gradients = [item.grad for item in state.network.parameters() if item.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        is_bad = ~(torch.isfinite(loss_sum) & torch.isfinite(norm))
        state.optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]  # read by fused optimizers
        state.optimizer.step()
        self._told.copy_(torch.stack([loss_sum, right.float(), norm]))
