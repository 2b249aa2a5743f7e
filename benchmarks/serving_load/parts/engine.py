"""The engine alone on the server's core, one thread: what a server could reach at the most."""

from __future__ import annotations

__all__ = ["measure"]

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from serving_load.experiment import MANY, OVERLOADED, SERVER_CORE, Experiment

PEERS = Path(__file__).parent.parent / "peers"


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each batch size."""
    code = f"""
import json, os, sys, time
import numpy as np
os.sched_setaffinity(0, {{{SERVER_CORE}}})
sys.path.insert(0, {str(PEERS)!r})
from engine import open_model
session, rows = open_model(sys.argv[1]), []
for batch in {[1, MANY, OVERLOADED]}:
    feeds, times, end = {{"images": np.zeros((batch, 28, 28), np.uint8)}}, [], time.perf_counter() + 2
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - start)
    half = times[len(times) // 4:]
    rate, p50_s = batch * len(half) / sum(half), float(np.median(half))
    rows.append({{"pictures": batch, "p50_ms": round(p50_s * 1e3, 4), "pictures_per_s": round(rate, 1)}})
print(json.dumps(rows))
"""
    command = [sys.executable, "-c", code, str(experiment.model)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows: list[dict[str, Any]] = json.loads(told)
    return rows
