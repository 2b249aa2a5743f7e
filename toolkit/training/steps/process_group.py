"""The processes that train together: torchrun's environment, and the few things they tell each other.

One process is a group of one, for which nothing is sent.
"""

from __future__ import annotations

__all__ = ["Group", "join_group", "lost_neighbours_named"]

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from toolkit.errors import ResourceError, UsageError, first_line

# A rank that says nothing for this long is dead or stuck; a step takes far less than a second.
SILENCE = timedelta(minutes=2)
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A place among processes that train together.

    Attributes:
        rank: 0 to size - 1; rank 0 writes and speaks.
        size: number of processes.
        local_rank: place on this machine, which chooses its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this process's part of `count` images: as even as it goes, the first ranks take the rest."""
        each, rest = divmod(count, self.size)
        start = self.rank * each + min(self.rank, rest)
        return slice(start, start + each + (self.rank < rest))

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all processes.

        Raises:
            ResourceError: another process is gone.
        """
        if self.size > 1:
            with lost_neighbours_named():
                distributed.all_reduce(values)
        return values

    def gather(self, values: Sequence[int], *, device: str) -> list[list[int]]:
        """Return what every process hands in, in the order of their ranks; so it also waits for all of them.

        Args:
            values: at least one, as many in each process, under 2^63.
            device: `cpu` or `cuda`.

        Raises:
            ResourceError: another process is gone.
        """
        # Each fills in its own row of zeros: a sum is what every backend has, and one of zeros hangs on no order.
        table = torch.zeros((self.size, len(values)), dtype=torch.int64, device=device)
        table[self.rank] = torch.tensor(values, dtype=torch.int64, device=device)
        rows: list[list[int]] = self.sum(table).tolist()
        return rows

    def require_same(self, sha256: str, *, what: str, device: str) -> None:
        """Refuse to train together on different files.

        Args:
            sha256: of what this process read, hex.
            what: it is, for the message.
            device: `cpu` or `cuda`.

        Raises:
            ResourceError: the hashes differ, or another process is gone.
        """
        # 15 hex digits are 60 bits, which an int64 holds; by chance alone two files would not agree in them.
        seen = [f"{value:015x}" for (value,) in self.gather([int(sha256[:15], 16)], device=device)]
        if len(set(seen)) > 1:
            each = ", ".join(f"process {rank} {digits}..." for rank, digits in enumerate(seen))
            raise ResourceError(
                f"the processes read different {what} ({each}); expected the same files for all of them"
            )


@contextlib.contextmanager
def lost_neighbours_named() -> Iterator[None]:
    """Turn the many messages of a broken connection into one error."""
    try:
        yield
    except distributed.DistError as error:
        raise _lost(error) from error
    except RuntimeError as error:
        # gloo and NCCL raise plain RuntimeErrors, of a lost connection as of anything else: only their words tell.
        text = str(error).lower()
        if any(word in text for word in ("connection", "peer", "timed out", "timeout", "gloo", "nccl")):
            raise _lost(error) from error
        raise


@contextlib.contextmanager
def join_group(device: str, *, environment: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """Join the processes that torchrun started, and leave them at the end; without torchrun, a group of one.

    gloo connects CPUs, NCCL connects GPUs.

    Args:
        device: `cpu` or `cuda`.
        environment: holds torchrun's RANK, WORLD_SIZE and LOCAL_RANK.

    Raises:
        UsageError: the environment is not torchrun's, or the device has no way to train over processes.
        ResourceError: the others could not be reached, or there is no GPU for this process.
    """
    group = _read_place(environment)
    if group.size == 1:
        yield group
        return
    if device not in BACKENDS:
        raise UsageError(f"training over {group.size} processes runs on cpu or cuda, not on {device}")
    if device == "cuda":
        _take_gpu(group)
    try:
        distributed.init_process_group(BACKENDS[device], timeout=SILENCE)
    except (RuntimeError, ValueError) as error:
        raise ResourceError(f"process {group.rank} cannot reach the other {group.size - 1}: {error}") from error
    try:
        if device == "cpu":  # NCCL connects when first used
            # One that refuses to train leaves at once: a neighbour that is still connecting would tell of that instead.
            group.gather([group.rank], device=device)
        yield group
    finally:
        distributed.destroy_process_group()


def _read_place(environment: Mapping[str, str]) -> Group:
    names = {"size": "WORLD_SIZE", "rank": "RANK", "local_rank": "LOCAL_RANK"}
    if environment.get("WORLD_SIZE", "1") == "1":
        return Group()
    try:
        return Group(**{key: int(environment[name]) for key, name in names.items()})
    except (KeyError, ValueError) as error:
        seen = ", ".join(f"{name}={environment.get(name)}" for name in names.values())
        raise UsageError(f"the environment says {seen}; start several processes with torchrun") from error


def _take_gpu(group: Group) -> None:
    count = torch.cuda.device_count()
    if group.local_rank >= count:
        raise ResourceError(
            f"process {group.rank} has no GPU {group.local_rank}: there are {count}; start one process for each"
        )
    torch.cuda.set_device(group.local_rank)


def _lost(error: Exception) -> ResourceError:
    first = first_line(error)
    return ResourceError(
        f"another process of this training is gone ({first}); go on from the last checkpoint, again over as many "
        "processes, with: toolkit train --resume latest"
    )
