"""Waiting threads that soon let others run; to be called before torch is imported."""

from __future__ import annotations

__all__ = ["CHOICES", "SPIN_COUNT", "yield_idle_cores"]

import os
import sys

# GNU OpenMP spins 300,000 times before a waiting thread sleeps. Where something else wants the cores, a spinning thread
# keeps out the very one it waits for. Measured on two cores, a training step alone and beside two busy processes: with
# the default 22 to 26 ms and 399 ms, with this count 23 and 51 ms, without any spinning 29 and 65 ms. The same bits.
SPIN_COUNT = 100_000
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def yield_idle_cores() -> None:
    """Shorten the time for which OpenMP's waiting threads hold a core, unless the user chose otherwise.

    OpenMP reads the variable once, when torch loads it.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in CHOICES):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
