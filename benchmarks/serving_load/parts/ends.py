"""What becomes of requests at full load when the server is ended, twenty times.

Lost is what was sent before the signal and never answered. A request that is sent while the server goes may find its
connection closing: nobody took it, and it is counted apart.
"""

from __future__ import annotations

__all__ = ["measure"]

import signal
import threading
import time
from collections import Counter
from typing import Any

from serving_load.clients import BROKEN, CLOSED, Arrivals, run_arrivals, run_wrk
from serving_load.experiment import CLIENT_CORE, Experiment
from serving_load.servers import RunningServer

BEFORE_S, AFTER_S = 0.7, 0.3


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return one row, of all ends together."""
    wire = experiment.wire(1)
    with experiment.start() as server:
        rate = run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE).rate
    total: Counter[str] = Counter()
    for number in range(experiment.times):
        with experiment.start() as server:
            end = _End(server)
            told = run_arrivals(server.port, wire, rate=rate, seconds=BEFORE_S + AFTER_S, seed=number)
            end.join()
            total["ended_with_0"] += server.process.wait() == 0
        total += _count(told, end.moment)
    names = ("offered", "served", "refused", "lost", "after_the_signal_not_taken", "ended_with_0")
    return [{"times": experiment.times, "rate": round(rate), **{name: total[name] for name in names}}]


class _End(threading.Thread):
    """Sends the signal, and keeps when."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__()
        self._server, self.moment = server, 0.0
        self.start()

    def run(self) -> None:
        time.sleep(BEFORE_S)
        self.moment = time.perf_counter()
        self._server.process.send_signal(signal.SIGTERM)


def _count(told: Arrivals, signal_s: float) -> Counter[str]:
    lost = sum(moment < signal_s for moment in told.broken_s)
    return Counter(
        offered=told.offered,
        served=told.statuses[200],
        refused=told.statuses[503] + told.statuses[429] + told.statuses[504],
        lost=lost,
        after_the_signal_not_taken=told.statuses[BROKEN] - lost + told.statuses[CLOSED],
    )
