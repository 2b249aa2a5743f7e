"""The highest rate of arrivals at random at which 99 % are answered in time, by `toolkit bench --scenario capacity`."""

from __future__ import annotations

__all__ = ["measure"]

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving_load.experiment import Experiment


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each road to the server."""
    with experiment.start(has_grpc=True) as server:
        roads = list(server.roads().items())[: experiment.roads]
        return [_search(experiment, road, url=url) for road, url in roads]


def _search(experiment: Experiment, road: str, *, url: str) -> dict[str, Any]:
    limit, seconds = (f"{number:g}" for number in (experiment.max_p99_ms, experiment.seconds / 2))
    words = ["-m", "toolkit", "bench", str(experiment.model), "--json", "--runtime", road, "--at", url]
    words += ["--scenario", "capacity", "--max-p99-ms", limit, "--seconds", seconds]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *words, "--output", str(Path(folder) / "bench.json")]
        told = subprocess.run(command, check=False, capture_output=True, text=True)
    if not told.stdout:
        raise RuntimeError(told.stderr)
    (row,) = json.loads(told.stdout)["rows"]
    tried = [f"{rate['rate']:g} {rate['verdict']}" for rate in row["rates"] or []]
    return {
        "road": road,
        "max_p99_ms": experiment.max_p99_ms,
        "requests_per_s": row["throughput_items_per_s"],
        "p50_ms": (row["latency_ms"] or {}).get("p50"),
        "p99_ms": (row["latency_ms"] or {}).get("p99"),
        "client_share": (row["client"] or {}).get("cpu_share"),
        "client_lag_p99_ms": (row["client"] or {}).get("lag_p99_ms"),
        "tried": tried,
        "told": " ".join([row["status"], row["reason"], *row["notes"]]).strip(),
    }
