"""A process that ends with the one that started it."""

from __future__ import annotations

__all__ = ["end_with_the_parent"]

import signal
import sys


def end_with_the_parent() -> None:
    """Ask Linux to end this process when its parent is killed; elsewhere the closed pipe ends it after its request."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
