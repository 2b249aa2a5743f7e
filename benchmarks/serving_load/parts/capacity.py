"""The highest rate of arrivals at random at which 99 % are answered in time, by halving."""

from __future__ import annotations

__all__ = ["measure"]

from typing import Any

from serving_load.clients import run_arrivals, run_wrk
from serving_load.experiment import CLIENT_CORE, Experiment


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each rate that was tried."""
    wire = experiment.wire(1)
    rows = []
    with experiment.start() as server:
        low, high = 0.0, run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE).rate * 1.2
        for _ in range(7):
            rate = (low + high) / 2
            told = run_arrivals(server.port, wire, rate=rate, seconds=experiment.seconds)
            fits = told.percentile_ms(0.99) <= experiment.max_p99_ms and told.statuses[200] == told.offered
            low, high = (rate, high) if fits else (low, rate)
            rows.append({"rate": round(rate), "fits": fits, **told.to_row()})
    return rows
