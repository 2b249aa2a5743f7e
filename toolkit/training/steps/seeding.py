"""Randomness without memory: every draw follows from the seed and the place in the training alone.

So nothing of a generator has to survive a crash: the seed and the position in a checkpoint are the whole state of every
library's randomness, and a training resumed at any step draws what the uninterrupted one drew.
"""

from __future__ import annotations

__all__ = ["derive_seed", "make_generator"]

import hashlib

import torch


def derive_seed(seed: int, purpose: str, *place: int) -> int:
    """Return a 63-bit seed for one purpose at one place, the same on every machine.

    Args:
        seed: the training's seed.
        purpose: what is drawn, e.g. `order`.
        place: e.g. the epoch.
    """
    text = ",".join([str(seed), purpose, *map(str, place)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(seed: int, purpose: str, *place: int) -> torch.Generator:
    """Return a CPU generator seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, *place))
