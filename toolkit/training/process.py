"""The process that trains: settings to be made before torch is imported, and what it does when told to stop.

Of SIGTERM and SIGINT the first asks to save and leave, the second leaves at once.
"""

from __future__ import annotations

__all__ = [
    "OPENMP_CHOICES",
    "SPIN_COUNT",
    "StopRequest",
    "hear_stop_signals",
    "prepare_process",
    "yield_idle_cores",
]

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.environment import is_own_process
from toolkit.network.memory import keep_freed_memory

# GNU OpenMP spins 300,000 times before a waiting thread sleeps. Where something else wants the cores, a spinning thread
# keeps out the very one it waits for. A step of `speedrun` on two cores, alone and beside two busy processes: 100,000
# turns 18 and 54 to 449 ms, 10,000 17 and 69 to 150 ms, 2,500 17 and 47 to 58 ms, 1,000 18 and 53 ms, none 30 and 54 ms
# (docs/decisions/0007-recipes.md). The same bits.
SPIN_COUNT = 2_500
OPENMP_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
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
