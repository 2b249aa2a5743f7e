"""Our single-stream figures beside MLPerf LoadGen's own: the same file, inputs and worker, in turns A B B A.

    python benchmarks/against_loadgen.py MODEL [--rounds 10] [--seconds 1.0] [--batch 1]

JSON on standard output: p50 and p90 of both in every round and their difference; the goal is within 5 % of LoadGen's
plus 10 us (LoadGen issues each call through Python's callback and takes its answer back through another).
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.bench.measuring.inputs import make_feeds
from toolkit.card import read_card
from toolkit.environment import describe_environment
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.workers.client import WorkerRuntime

MOST_RELATIVE, MOST_ADDED_US = 0.05, 10.0
PERCENTILES = {"p50": 0.5, "p90": 0.9}


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="Our figures beside LoadGen's.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    ours, theirs = _measure(ModelSource.read(options.model), options.rounds, options.seconds, options.batch)
    report = {
        "schema": "toolkit/benchmark-against-loadgen/1",
        "goal": {"relative": MOST_RELATIVE, "added_us": MOST_ADDED_US},
        "batch": options.batch,
        "calls": {"ours": [len(item) for item in ours], "loadgen": [len(item) for item in theirs]},
        "percentiles": {name: _compare(ours, theirs, share) for name, share in PERCENTILES.items()},
        "environment": describe_environment(),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _measure(source: ModelSource, rounds: int, seconds: float, batch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    own = MeasurePlan(warmup_calls=10, warmup_s=0.2, min_calls=1, min_s=seconds, max_s=seconds)
    plans = {"toolkit": own, "loadgen": replace(own, driver="loadgen")}
    samples: dict[str, list[np.ndarray]] = {name: [] for name in plans}
    with WorkerRuntime(source, RuntimeSettings(), timeout_s=120) as worker:
        card = read_card(worker.info.metadata, name=str(source.path))
        feeds = make_feeds(worker.info.inputs, batch=batch, golden=card.golden).arrays
        for number in range(rounds):
            for name in sorted(plans, reverse=number % 2 == 0):
                samples[name].append(worker.measure(feeds, plans[name]).samples_ns)
    return samples["toolkit"], samples["loadgen"]


def _compare(ours: list[np.ndarray], theirs: list[np.ndarray], share: float) -> dict[str, Any]:
    own = [float(np.quantile(item, share, method="inverted_cdf")) / 1e3 for item in ours]
    other = [float(np.quantile(item, share, method="inverted_cdf")) / 1e3 for item in theirs]
    difference = statistics.median(mine - their for mine, their in zip(own, other, strict=True))
    limit = MOST_RELATIVE * statistics.median(other) + MOST_ADDED_US
    return {
        "ours_us": [round(value, 2) for value in own],
        "loadgen_us": [round(value, 2) for value in other],
        "difference_us": round(difference, 2),
        "limit_us": round(limit, 2),
        "holds": abs(difference) <= limit,
    }


if __name__ == "__main__":
    main()
