"""PyTorch's DDP around the network, with sums whose order never changes, and batch normalisation over all processes.

Shapes: N images of this process (there may be none), C channels, H rows, W columns, R processes.
"""

from __future__ import annotations

__all__ = ["SyncedBatchNorm2d", "distribute"]

import inspect
from typing import Any

import torch
from torch import Tensor, distributed, futures, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from toolkit.training.steps.process_group import lost_neighbours_named

# torch renamed DDP's switch and warns of the old name.
BUFFER_SWITCHES = ("forward_sync_buffers", "broadcast_buffers")


def distribute(network: nn.Module) -> nn.Module:
    """Return what to call in training so that every process ends a backward pass with the sum of all gradients.

    The batch normalisations in `network` are replaced by synchronised ones.

    Args:
        network: on its device.
    """
    _sync_batch_norms(network)
    device = next(network.parameters()).device
    known = inspect.signature(DistributedDataParallel).parameters
    # Running statistics are equal on every rank already, because the normalisations are synchronised.
    unsynced: dict[str, Any] = {next(name for name in BUFFER_SWITCHES if name in known): False}
    wrapped = DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None, **unsynced)
    # A lambda, because torch compares annotations with types and postponed ones are strings.
    wrapped.register_comm_hook(None, lambda _, bucket: _sum_one_by_one(bucket.gradients(), bucket.buffer()))
    return wrapped


def _sum_one_by_one(gradients: list[Tensor], buffer: Tensor) -> futures.Future[Tensor]:
    """Sum each gradient over the processes by itself; they are views of the buffer, which is returned.

    A ring adds a number up in an order that depends on its place in what is sent. DDP packs gradients together and
    repacks them after its first step, so a resumed training would add three processes' numbers in another order.
    """
    sums = [distributed.all_reduce(item, async_op=True) for item in gradients]
    for earlier in sums[:-1]:
        earlier.wait()
    # Of the last one, because a future made of several forgets that its tensors lie on a GPU.
    done: futures.Future[Tensor] = sums[-1].get_future().then(lambda _: buffer)
    return done


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics are those of the global batch; the same parameters and buffers.

    torch.nn.SyncBatchNorm does this on GPUs only; this one runs on any device that torch.distributed reaches.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Return normalised maps `[N, C, H, W]`; in eval mode exactly what `nn.BatchNorm2d` returns."""
        if not self.training:
            return super().forward(maps)
        values = maps.float()
        mean, variance, number = _global_statistics(values)
        # As `nn.BatchNorm2d`: normalised by the biased variance, remembered is the unbiased one.
        self._remember(mean.detach(), variance.detach() * number / (number - 1).clamp_min(1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        normalised: Tensor = values * scale[:, None, None] + shift[:, None, None]
        return normalised.to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _sync_batch_norms(module: nn.Module) -> None:
    """Replace every `nn.BatchNorm2d` in a module by one that is synchronised, keeping parameters and buffers."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            synced = SyncedBatchNorm2d(child.num_features, eps=child.eps, momentum=child.momentum)
            synced.load_state_dict(child.state_dict())
            setattr(module, name, synced.to(child.weight.device))
        else:
            _sync_batch_norms(child)


def _global_statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean `[C]`, biased variance `[C]` and the number of values a channel, of all processes together.

    Every process hands in its own mean and its squares about it, which are then combined (Chan et al. 1979, "Updating
    formulae and a pairwise algorithm for computing sample variances"): a sum of plain squares would lose the variance
    of channels far from zero.
    """
    channels = values.shape[1]
    count = values.new_tensor([values.numel() // channels])
    mean = values.sum(dim=(0, 2, 3)) / count.clamp_min(1)
    squares = (values - mean[:, None, None]).square().sum(dim=(0, 2, 3))
    rows = _gather(torch.cat([mean, squares, count]))
    means, squares, counts = torch.split(rows, [channels, channels, 1], dim=1)
    number = counts.sum()
    whole_mean = (means * counts).sum(dim=0) / number
    variance = (squares + counts * (means - whole_mean).square()).sum(dim=0) / number
    return whole_mean, variance, number


def _gather(row: Tensor) -> Tensor:
    """Return the rows of all processes `[R, ...]`: each adds its own to zeros, so no sum depends on an order."""
    rank, size = distributed.get_rank(), distributed.get_world_size()
    with lost_neighbours_named():
        table: Tensor = _Sum.apply(functional.pad(row[None], (0, 0, rank, size - rank - 1)))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return table


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Return the sum."""
        del ctx
        return _sum(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the sum of the gradients."""
        del ctx
        return _sum(gradients[0])


def _sum(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
