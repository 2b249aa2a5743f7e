"""Torch in a process that is a program's: its settings and random numbers are put back, one training at a time."""

from __future__ import annotations

__all__ = ["torch_borrowed"]

import contextlib
import threading
from collections.abc import Iterator

import torch

from toolkit.environment import is_own_process

# Random numbers, thread counts and switches are the whole process's: a second thread's training or export waits.
_TURN = threading.RLock()


@contextlib.contextmanager
def torch_borrowed() -> Iterator[None]:
    """Work with torch as a fresh process has it, and leave it as it was found.

    In a process of our own nothing is put back: nobody comes after us.
    """
    if is_own_process():
        yield
        return
    with (
        _TURN,
        _settings_kept(),
        torch.random.fork_rng(devices=_devices()),
        torch.inference_mode(mode=False),
        torch.enable_grad(),
    ):
        yield


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    switches = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    casts, caches = torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()
    # Not by a context: the weights that a step casts are forgotten when the outermost one ends, so inside another every
    # step would see the first one's.
    torch.set_autocast_enabled("cpu", False)
    torch.set_autocast_cache_enabled(caches and not casts)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cpu", casts)
        torch.set_autocast_cache_enabled(caches)
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.set_default_device(None if device.type == "cpu" else device)
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = switches


def _devices() -> list[int]:
    is_used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's own
    return list(range(torch.cuda.device_count())) if is_used else []
