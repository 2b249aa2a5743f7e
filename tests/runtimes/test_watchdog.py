"""The thread that ends waits: each in its own time, and none that is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from toolkit.runtimes.workers.watchdog import Watchdog

PATIENCE_S = 20.0


class Watched:
    """A watchdog that says which waits lasted too long."""

    def __init__(self) -> None:
        self.expired: list[float] = []
        self._heard = threading.Event()
        self.watchdog = Watchdog(self._expire)

    def _expire(self, seconds: float) -> None:
        self.expired.append(seconds)
        self._heard.set()

    def wait_too_long(self, seconds: float) -> None:
        self._heard.clear()
        with self.watchdog.limit(seconds):
            assert self._heard.wait(PATIENCE_S)


@pytest.fixture
def watched() -> Iterator[Watched]:
    opened = Watched()
    yield opened
    opened.watchdog.close()
    opened.watchdog.close()
    assert not [thread for thread in threading.enumerate() if thread is opened.watchdog._thread]


def test_a_wait_that_lasts_too_long_is_told_once_with_its_limit(watched: Watched) -> None:
    watched.wait_too_long(0.02)
    watched.wait_too_long(0.01)
    with watched.watchdog.limit(0.01):
        time.sleep(0.1)
    assert watched.expired == [0.02, 0.01, 0.01]


def test_a_shorter_limit_is_held_while_it_sleeps_for_a_longer_one(watched: Watched) -> None:
    with watched.watchdog.limit(10 * PATIENCE_S):
        time.sleep(0.05)  # it sleeps by now
    watched.wait_too_long(0.01)
    assert watched.expired == [0.01]


def test_a_later_limit_is_held_after_it_slept_for_one_that_was_left(watched: Watched) -> None:
    with watched.watchdog.limit(0.05):
        pass
    time.sleep(0.1)  # it has woken, and nothing was waited for
    watched.wait_too_long(0.03)
    assert watched.expired == [0.03]


def test_a_limit_begins_anew_with_each_wait(watched: Watched) -> None:
    for _ in range(10):
        with watched.watchdog.limit(0.5):
            time.sleep(0.06)  # 0.6 s in all
    assert not watched.expired


def test_a_wait_that_was_left_by_an_error_is_over(watched: Watched) -> None:
    with pytest.raises(EOFError), watched.watchdog.limit(0.02):
        raise EOFError
    time.sleep(0.1)
    assert not watched.expired
