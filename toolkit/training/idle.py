"""Waiting threads that let others run; to be called before torch is imported."""

from __future__ import annotations

__all__ = ["yield_idle_cores"]

import os
import sys


def yield_idle_cores() -> None:
    """Let OpenMP's threads sleep while they wait for each other, unless the user chose otherwise.

    By default they spin for milliseconds. Where something else wants a core, a spinning thread keeps out the very one
    it waits for: on two shared cores an epoch took 14.5 s instead of 1.3 s. The results are the same bits.
    OpenMP reads the variable once, when torch loads it.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
