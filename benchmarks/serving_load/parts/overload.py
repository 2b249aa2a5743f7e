"""What becomes of three times more than the server can do, with large requests and with small ones."""

from __future__ import annotations

__all__ = ["measure"]

import threading
import time
import urllib.request
from typing import Any

import numpy as np

from serving_load.clients import run_arrivals, run_wrk
from serving_load.experiment import CLIENT_CORE, OVERLOADED, Experiment
from serving_load.servers import RunningServer

DEADLINE_MS = 1000
TIMES_CAPACITY = 3
REFUSED = (429, 503, 504)


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each size of a request."""
    return [
        _overload(experiment, count=count, seconds=seconds)
        for count, seconds in ((OVERLOADED, experiment.overload_s), (1, experiment.overload_s / 4))
    ]


def _overload(experiment: Experiment, *, count: int, seconds: float) -> dict[str, Any]:
    wire = experiment.wire(count)
    with experiment.start("toolkit", "--timeout-ms", str(DEADLINE_MS)) as server:
        most = run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE).rate
        # The first seconds of an overload fill the queue: memory is compared from then on.
        run_arrivals(server.port, wire, rate=TIMES_CAPACITY * most, seconds=min(seconds / 10, 2.0), seed=1)
        before, used_s = server.memory_bytes(), server.cpu_s()
        health, own_s = _Health(server), time.process_time()
        told = run_arrivals(server.port, wire, rate=TIMES_CAPACITY * most, seconds=seconds)
        refused = sum(told.statuses[status] for status in REFUSED)
        return {
            "pictures": count,
            "seconds": seconds,
            "capacity": round(most, 1),
            "goodput_of_capacity": round(told.statuses[200] / told.seconds / most, 3),
            "deadline_ms": DEADLINE_MS,
            **told.to_row(),
            "refused": refused,
            "unexplained": told.offered - told.statuses[200] - refused,
            "memory_growth": round(server.memory_bytes() / before - 1, 3),
            "health_p99_ms": health.end(),
            "health_failures": len(health.failures),
            "server_share": round((server.cpu_s() - used_s) / told.seconds, 3),
            "client_share": round((time.process_time() - own_s) / told.seconds, 3),
        }


class _Health(threading.Thread):
    """Asks for health ten times a second, in a thread of the client's."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{server.port}/v2/health/ready"
        self._is_over, self._times = threading.Event(), []
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._is_over.wait(0.1):
            start = time.perf_counter()
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:
                    answer.read()
            except OSError as error:
                self.failures.append(str(error))
            self._times.append(time.perf_counter() - start)

    def end(self) -> float:
        """Return the 99th percentile in ms."""
        self._is_over.set()
        self.join()
        return round(float(np.quantile(self._times, 0.99)) * 1e3, 2)
