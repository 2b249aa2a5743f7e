"""SIGTERM and SIGINT while training: the first asks to save and leave, the second leaves at once."""

from __future__ import annotations

__all__ = ["StopRequest", "hear_stop_signals"]

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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

    Outside the main thread, where Python hears no signals, nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def hear(number: int, _: object) -> None:
        if request.signal is not None:
            # Saves replace whole files, so leaving in the middle of one corrupts nothing.
            os._exit(128 + number)
        request.signal = number

    before = {number: signal.signal(number, hear) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
