"""One thread that ends what takes too long, however often something is waited for.

A thread for each wait would cost more than most calls of an engine: it has to be scheduled before the wait begins.
"""

from __future__ import annotations

__all__ = ["Watchdog"]

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator


class Watchdog:
    """Watches one wait after the other; its thread begins with the first and lasts until `close`.

    Args:
        expire: called with the seconds of a wait that lasted longer, while the wait still lasts.
    """

    def __init__(self, expire: Callable[[float], None]) -> None:
        self._expire = expire
        self._changed = threading.Condition()
        self._seconds, self._deadline = 0.0, math.inf
        self._wakes_at = -math.inf  # it does not sleep
        self._thread: threading.Thread | None = None
        self._is_over = False

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Inside, something is waited for, no longer than this; once it is left, `expire` is not called any more."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
            self._seconds, self._deadline = seconds, time.monotonic() + seconds
            # Most waits end long before their limit: a later deadline lets it sleep on until the one that it knows.
            if self._deadline < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadline = math.inf

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_over:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    self._deadline = math.inf
                    self._expire(self._seconds)  # under the lock: a wait that ended in time is never followed by it
                    continue
                self._wakes_at = self._deadline
                self._changed.wait(None if left == math.inf else min(left, threading.TIMEOUT_MAX))
                self._wakes_at = -math.inf
