"""A client beside an attacker, and how much memory a server takes."""

from __future__ import annotations

__all__ = ["Neighbour", "memory_bytes", "withstanding"]

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from served import Served


class Neighbour(threading.Thread):
    """A client that does all right, for as long as the others do not.

    Args:
        wire: to a model, by whatever protocol.
        form: of its requests.
    """

    def __init__(self, wire: Any, form: str) -> None:
        super().__init__()
        self._wire, self._form, self._is_over = wire, form, threading.Event()
        self.served, self.longest_s = 0, 0.0
        self.wrong: list[str] = []

    def run(self) -> None:
        arrays = self._wire.make_arrays(seed=9)
        expected = self._wire.infer_arrays(self._form, arrays)
        while not self._is_over.is_set():
            start = time.monotonic()
            try:
                told = self._wire.infer_arrays(self._form, arrays)
                if any(not np.allclose(told[name], expected[name], atol=1e-4) for name in expected):
                    self.wrong.append("another answer")
            except Exception as error:
                self.wrong.append(repr(error))
            self.longest_s = max(self.longest_s, time.monotonic() - start)
            self.served += 1

    def end(self) -> None:
        self._is_over.set()
        self.join()


def memory_bytes(server: Served) -> int:
    """Return the most memory that the server and its workers ever had."""
    total, own = 0, server.process.pid
    children = [path.read_text().split() for path in Path(f"/proc/{own}/task").glob("*/children")]
    for pid in (own, *(pid for some in children for pid in some)):
        text = Path(f"/proc/{pid}/status").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:")) << 10
    return total


@contextmanager
def withstanding(server: Served, wire: Any, form: str, *, most_growth_bytes: int, longest_s: float) -> Iterator[None]:
    """Let a block attack a server beside a client that does all right; at the end both have to be well."""
    before = memory_bytes(server)
    neighbour = Neighbour(wire, form)
    neighbour.start()
    try:
        yield
    finally:
        neighbour.end()
    assert neighbour.wrong == [], neighbour.wrong
    assert neighbour.served > 10
    assert neighbour.longest_s < longest_s
    assert server.process.poll() is None
    grown = memory_bytes(server) - before
    assert grown < most_growth_bytes, f"{grown >> 20} MiB more"
    assert 'code="5' not in server.ask("/metrics")[2].decode()
    code, said = server.stop()
    assert (code, said) == (0, ""), (code, said)
