"""Batch normalisation over the images of all processes.

torch.nn.SyncBatchNorm does this on GPUs only; this one runs on any device that torch.distributed reaches.
"""

from __future__ import annotations

__all__ = ["sync_batch_norms"]

import torch
from torch import Tensor, nn
from torch.distributed.nn import functional as distributed_functional

from toolkit.training.group import lost_neighbours_named


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics are those of the global batch; the same parameters and buffers."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return normalised maps `[N, C, H, W]`; in eval mode exactly what `nn.BatchNorm2d` returns."""
        if not self.training:
            return super().forward(maps)
        values = maps.float()
        count = torch.full((1,), float(values.numel() // values.shape[1]), device=values.device)
        local = torch.cat([values.sum(dim=(0, 2, 3)), (values * values).sum(dim=(0, 2, 3)), count])
        with lost_neighbours_named():
            total: Tensor = distributed_functional.all_reduce(local)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        sums, squares, number = total[: self.num_features], total[self.num_features : -1], total[-1]
        mean = sums / number
        variance = (squares / number - mean * mean).clamp_min(0)
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


def sync_batch_norms(module: nn.Module) -> None:
    """Replace every `nn.BatchNorm2d` in a module by one that is synchronised, keeping parameters and buffers."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            synced = SyncedBatchNorm2d(child.num_features, eps=child.eps, momentum=child.momentum)
            synced.load_state_dict(child.state_dict())
            setattr(module, name, synced.to(child.weight.device))
        else:
            sync_batch_norms(child)
