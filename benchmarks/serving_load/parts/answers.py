"""The same answer by every road: each picture of the test set, alone, in batches and under load, by `toolkit parity`.

A crossed answer is one that lies outside the bound of its own picture.
"""

from __future__ import annotations

__all__ = ["measure"]

import json
import subprocess
import sys
from typing import Any

from serving_load.experiment import Experiment


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each road and load."""
    sample = [] if experiment.pictures is None else ["--sample", str(experiment.pictures)]
    with experiment.start(has_grpc=True) as server:
        roads = server.roads()
        # Those of one address in one call: the reference is computed once for them.
        together = {url: ",".join(road for road in roads if roads[road] == url) for url in roads.values()}
        return [row for url, names in together.items() for row in _judge(experiment, names, [*sample, "--at", url])]


def _judge(experiment: Experiment, roads: str, options: list[str]) -> list[dict[str, Any]]:
    words = ["-m", "toolkit", "parity", str(experiment.model), "--json", "--runtime", roads, *options]
    told = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True)
    if not told.stdout:
        raise RuntimeError(told.stderr)
    return [
        {
            "road": row["runtime"],
            "at_once": row["runs_at_once"],
            "batches": row["batch_sizes"],
            "pictures": row["images"],
            "largest_error": row["max_abs_logit_error"],
            "bound": row["bound"],
            "flips": row["flips"],
            "status": " ".join(filter(None, [row["status"], row["reason"]])),
        }
        for row in json.loads(told.stdout)["rows"]
    ]
