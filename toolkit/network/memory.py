"""What torch frees stays in the process: glibc's allocator, told so."""

from __future__ import annotations

__all__ = ["MALLOC_CHOICES", "M_MMAP_MAX", "M_TRIM_THRESHOLD", "keep_freed_memory"]

import ctypes
import os
import sys
from collections.abc import Callable

# glibc's malloc.h; mallopt(3) documents -1 as "never trim" and 0 as "never mmap".
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
MALLOC_CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
Mallopt = Callable[[int, int], int]


def keep_freed_memory(mallopt: Mallopt | None = None) -> bool:
    """Tell glibc's allocator to keep what is freed, unless the user chose otherwise.

    Every step of a training, and every call in float64, frees and asks for the same many megabytes. By default they go
    back to the kernel in between and are faulted in and zeroed again, page by page: a fifth of a step, half of a call
    (docs/decisions/0008-speed.md). The same bits.

    Args:
        mallopt: C's function; the process's own by default.

    Returns:
        Whether it was told; not where the C library is another one.
    """
    if any(name in os.environ for name in MALLOC_CHOICES):
        return False
    mallopt = mallopt or _find_mallopt()
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


def _find_mallopt() -> Mallopt | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "mallopt", None)
