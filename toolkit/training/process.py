"""The process that trains: settings to be made before torch is imported, and what it does when told to stop.

Of SIGTERM and SIGINT the first asks to save and leave, the second leaves at once.
"""

from __future__ import annotations

__all__ = [
    "OPENMP_CHOICES",
    "SPIN_COUNT",
    "StopRequest",
    "hear_stop_signals",
    "keep_freed_memory",
    "prepare_process",
    "yield_idle_cores",
]

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from toolkit.environment import is_own_process

# GNU OpenMP spins 300,000 times before a waiting thread sleeps. Where something else wants the cores, a spinning thread
# keeps out the very one it waits for. A step of `speedrun` on two cores, alone and beside two busy processes: 100,000
# turns 18 and 54 to 449 ms, 10,000 17 and 69 to 150 ms, 2,500 17 and 47 to 58 ms, 1,000 18 and 53 ms, none 30 and 54 ms
# (docs/decisions/0007-recipes.md). The same bits.
SPIN_COUNT = 2_500
OPENMP_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
# glibc's malloc.h; mallopt(3) documents -1 as "never trim" and 0 as "never mmap".
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
MALLOC_CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
Mallopt = Callable[[int, int], int]
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def prepare_process() -> None:
    """Make this process a good one to train in; what the user chose in the environment stays."""
    yield_idle_cores()
    keep_freed_memory()


def yield_idle_cores() -> None:
    """Shorten the time for which OpenMP's waiting threads hold a core, unless the user chose otherwise.

    OpenMP reads the variable once, when torch loads it.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in OPENMP_CHOICES):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def keep_freed_memory(mallopt: Mallopt | None = None) -> bool:
    """Tell glibc's allocator to keep what is freed, unless the user chose otherwise.

    Every step frees and asks for the same few dozen megabytes. By default they go back to the kernel in between and are
    faulted in and zeroed again, page by page: a fifth of a step (docs/decisions/0008-speed.md). The same bits.

    Args:
        mallopt: C's function; the process's own by default.

    Returns:
        Whether it was told; not where the C library is another one.
    """
    if any(name in os.environ for name in MALLOC_CHOICES):
        return False
    mallopt = mallopt or _find_mallopt()
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


@dataclass(slots=True)
class StopRequest:
    """What was asked for.

    Attributes:
        signal: number of the signal that came; None while none did.
    """

    signal: int | None = None


@contextlib.contextmanager
def hear_stop_signals() -> Iterator[StopRequest]:
    """Note the first signal instead of dying of it; handlers are put back at the end.

    Nothing changes outside the main thread, where Python hears no signals, and in a process that is a program's: its
    signals are its own, and Ctrl-C is a KeyboardInterrupt there.
    """
    request = StopRequest()
    if not is_own_process() or threading.current_thread() is not threading.main_thread():
        yield request
        return

    def hear(number: int, _: object) -> None:
        if request.signal is not None:
            # Saves replace whole files, so leaving in the middle of one corrupts nothing.
            os._exit(128 + number)
        request.signal = number

    before = {number: signal.signal(number, hear) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _find_mallopt() -> Mallopt | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "mallopt", None)
