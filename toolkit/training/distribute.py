"""PyTorch's DDP around the network, with sums whose order never changes."""

from __future__ import annotations

__all__ = ["distribute"]

import inspect
from typing import Any

from torch import Tensor, distributed, futures, nn
from torch.nn.parallel import DistributedDataParallel

from toolkit.training.synced_norm import sync_batch_norms

# torch renamed DDP's switch and warns of the old name.
BUFFER_SWITCHES = ("forward_sync_buffers", "broadcast_buffers")


def distribute(network: nn.Module) -> nn.Module:
    """Return what to call in training so that every process ends a backward pass with the sum of all gradients.

    The batch normalisations in `network` are replaced by synchronised ones.

    Args:
        network: on its device.
    """
    sync_batch_norms(network)
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
