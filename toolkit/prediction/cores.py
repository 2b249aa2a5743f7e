"""How many cores there are to share."""

from __future__ import annotations

__all__ = ["usable_cores"]

import contextlib
import math
import os
from pathlib import Path

# A container's share of the machine: microseconds of work that are allowed in a period, and the period (cgroup v2).
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = QUOTA) -> int:
    """Return how many cores this process may use at the same time: at least 1, a container's quota rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max": there is no quota
        allowed, period = (int(field) for field in quota.read_text().split())
        return max(1, min(cores, math.ceil(allowed / period)))
    return cores
