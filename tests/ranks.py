"""What one of two processes does in tests/training/test_distributed.py; `python ranks.py CHECK FOLDER` writes its answer.

Each check sees the same global batch and takes this process's share of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from small_training import Listener, go_on
from torch import Tensor, nn

from toolkit.errors import ToolkitError
from toolkit.runs.checkpoint import Checkpoint, read_checkpoint
from toolkit.runs.run import epoch_checkpoint
from toolkit.training import resume as resume_module
from toolkit.training.run_writer import RunFolder
from toolkit.training.steps import process_group as group_module
from toolkit.training.steps.ddp import SyncedBatchNorm2d, distribute
from toolkit.training.steps.process_group import Group, join_group

SIZE = 2


def make_batch(count: int) -> tuple[Tensor, Tensor]:
    """Return maps `[count, 3, 4, 5]`, one channel far from zero, and weights of each output for a loss."""
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn((count, 3, 4, 5), generator=generator) * torch.tensor([1.0, 20.0, 1.0])[:, None, None]
    maps += torch.tensor([0.0, -5.0, 1000.0])[:, None, None]
    return maps, torch.randn((count, 3, 4, 5), generator=generator)


def prepare_norm(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Return it with weights and biases that are not 1 and 0."""
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
        norm.bias.copy_(torch.tensor([1.0, 0.0, 3.0]))
    return norm


def check_norm(group: Group, count: int) -> dict[str, Any]:
    """Normalise this process's share; gradients of the parameters are left as this process sees them."""
    maps, weights = (item[group.share(count)] for item in make_batch(count))
    norm, maps = prepare_norm(SyncedBatchNorm2d(3)), maps.clone().requires_grad_()
    outputs = norm(maps)
    (outputs * weights).sum().backward()
    assert maps.grad is not None
    assert norm.weight.grad is not None
    assert norm.bias.grad is not None
    values = {
        "outputs": outputs,
        "maps_grad": maps.grad,
        "weight_grad": norm.weight.grad,
        "bias_grad": norm.bias.grad,
        **norm.state_dict(),
    }
    return {key: value.tolist() for key, value in values.items()}


def check_gradients(group: Group) -> dict[str, Any]:
    """Return the gradients after one backward pass over this process's share of 5 rows."""
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    with torch.no_grad():
        for index, item in enumerate(network.parameters()):
            item.copy_(torch.arange(item.numel()).view_as(item) * 0.1 + index)
    rows = torch.arange(10.0).view(5, 2)[group.share(5)]
    forward = distribute(network)  # kept: without it nothing is sent
    forward(rows).sum().backward()
    return {name: item.grad.tolist() for name, item in network.named_parameters() if item.grad is not None}


def check_loss_of_a_neighbour(group: Group) -> dict[str, Any]:
    """The second process dies; the first one says so."""
    group.sum(torch.ones(1))
    if group.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        while True:
            group.sum(torch.ones(1))
    except ToolkitError as error:
        return {"kind": type(error).__name__, "message": str(error)}


def check_resume(root: Path, *, reads_another: bool) -> dict[str, Any]:
    """Go on with a run whose leavings the first process is slow to clear, while the second is quick to read.

    Args:
        root: where the run lies.
        reads_another: whether the second process finds an older checkpoint than the first.
    """
    times: dict[str, float] = {}
    clear, find = RunFolder.clear_leavings, resume_module.find_valid_checkpoint

    def clear_slowly(folder: RunFolder) -> None:
        time.sleep(1)
        clear(folder)
        times["cleared"] = time.monotonic()

    def find_at_once(run: Path) -> tuple[Checkpoint, list[str]]:
        times["read"] = time.monotonic()
        if reads_another and os.environ["RANK"] == "1":
            return read_checkpoint(epoch_checkpoint(run, 1)), []
        return find(run)

    RunFolder.clear_leavings = clear_slowly  # type: ignore[method-assign]
    resume_module.find_valid_checkpoint = find_at_once
    try:
        report = go_on(root, epochs="+1", allow_drift=True, listener=Listener())
    except ToolkitError as error:
        return {"kind": type(error).__name__, "message": str(error), **times}
    return {"epochs": len(report.rows), **times}


def main(check: str, folder: Path) -> None:
    """Join the other process, do one check, write the answer."""
    torch.set_num_threads(1)
    if check.startswith("resume"):
        answer = check_resume(folder, reads_another=check == "resume another")
        (folder / f"{check}-{os.environ['RANK']}.json").write_text(json.dumps(answer))
        return
    # Who waits for silence waits longer than any test: what is told must have been seen.
    group_module.SILENCE = timedelta(hours=1)
    with join_group("cpu") as group:
        if check == "lost":
            answer = check_loss_of_a_neighbour(group)
        else:
            answer = {
                "sum": group.sum(torch.tensor([1.0, float(group.rank)])).tolist(),
                "gradients": check_gradients(group),
                "norm of 7": check_norm(group, 7),
                "norm of 1": check_norm(group, 1),
            }
    (folder / f"{check}-{group.rank}.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
