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


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each size of a request."""
    rows = []
    for count, seconds in ((OVERLOADED, experiment.seconds * 5), (1, experiment.seconds)):
        wire = experiment.wire(count)
        with experiment.start() as server:
            most = run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE).rate
            before = server.memory_bytes()
            health = _Health(server)
            told = run_arrivals(server.port, wire, rate=3 * most, seconds=seconds)
            rows.append(
                {
                    "pictures": count,
                    "capacity": round(most, 1),
                    "goodput_of_capacity": round(told.statuses[200] / told.seconds / most, 3),
                    "unexplained": told.offered - sum(told.statuses[status] for status in (200, 429, 503, 504)),
                    "memory_growth": round(server.memory_bytes() / before - 1, 3),
                    "health_p99_ms": health.end(),
                    "health_failures": health.failures[:3],
                    **told.to_row(),
                }
            )
    return rows


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
