"""Latencies of one picture at a tenth and at half of the rate that the server has."""

from __future__ import annotations

__all__ = ["measure"]

from typing import Any

from serving_load.clients import run_arrivals, run_wrk
from serving_load.experiment import CLIENT_CORE, Experiment


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each share of the rate."""
    rows = []
    wire = experiment.wire(1)
    with experiment.start() as server:
        most = run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE).rate
        for share in (0.1, 0.5):
            told = run_arrivals(server.port, wire, rate=most * share, seconds=experiment.seconds)
            rows.append({"share_of_rate": share, "rate": round(most * share), **told.to_row()})
    return rows
