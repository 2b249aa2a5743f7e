"""What becomes of requests that are under way when the server is ended, twenty times."""

from __future__ import annotations

__all__ = ["measure"]

import threading
from typing import Any

from serving_load.clients import run_arrivals
from serving_load.experiment import Experiment

TIMES = 20


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return one row, of all ends together."""
    total = {"offered": 0, "served": 0, "refused": 0, "lost": 0, "ended_with_0": 0}
    for number in range(TIMES):
        with experiment.start() as server:
            timer = threading.Timer(1.0, server.process.terminate)
            timer.start()
            told = run_arrivals(server.port, experiment.wire(1), rate=1500, seconds=1.0, seed=number)
            timer.join()
            total["ended_with_0"] += server.process.wait() == 0
        total["offered"] += told.offered
        total["served"] += told.statuses[200]
        total["refused"] += told.statuses[503] + told.statuses[429]
        total["lost"] += told.statuses[0]
    return [total]
