"""What the timing harness adds to a call, over a bare loop around `InferenceSession.run`; interleaved A B A B.

    python benchmarks/bench_overhead.py MODEL [--rounds 7] [--seconds 1.5]

JSON on standard output: for batch 1 and 128 the p50 of both loops in every round, their difference in microseconds and
the ratio of their throughput; goals: under 3 us at p50 with batch 1, at most 2 % of throughput with batch 128.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.bench.inputs import make_feeds
from toolkit.environment import describe_environment
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import read_card
from toolkit.runtimes.measure import measure
from toolkit.runtimes.measure_plan import MeasurePlan
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.source import ModelSource

MOST_P50_US = 3.0
MOST_THROUGHPUT_LOSS = 0.02


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="The cost of the timing harness.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    options = parser.parse_args()
    source = ModelSource.read(options.model)
    report = {
        "schema": "toolkit/benchmark-bench-overhead/1",
        "goals": {"p50_us": MOST_P50_US, "throughput_loss": MOST_THROUGHPUT_LOSS},
        "batches": {batch: _compare(source, batch, options.rounds, options.seconds) for batch in (1, 128)},
        "environment": describe_environment(),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _compare(source: ModelSource, batch: int, rounds: int, seconds: float) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(source.model, providers=["CPUExecutionProvider"])
    plan = MeasurePlan(warmup_calls=10, warmup_s=0.3, min_calls=1, min_s=seconds, max_s=seconds)
    bare, harness = [], []
    with open_runtime(source, RuntimeSettings()) as runtime:
        card = read_card(runtime.info.metadata, name=str(source.path))
        feeds = make_feeds(runtime.info.inputs, batch=batch, golden=card.golden).arrays
        for _ in range(rounds):
            bare.append(_bare(session, feeds, seconds))
            harness.append(measure(runtime, feeds, plan)["samples_ns"])
    differences = [
        (float(np.median(ours)) - float(np.median(theirs))) / 1e3 for ours, theirs in zip(harness, bare, strict=True)
    ]
    losses = [1 - float(theirs.mean()) / float(ours.mean()) for ours, theirs in zip(harness, bare, strict=True)]
    return {
        "calls": [len(samples) for samples in harness],
        "bare_p50_us": [round(float(np.median(samples)) / 1e3, 2) for samples in bare],
        "added_p50_us": {
            "median": round(statistics.median(differences), 2),
            "rounds": [round(value, 2) for value in differences],
        },
        "throughput_loss": {
            "median": round(statistics.median(losses), 4),
            "rounds": [round(value, 4) for value in losses],
        },
    }


def _bare(session: onnxruntime.InferenceSession, feeds: dict[str, Any], seconds: float) -> np.ndarray:
    """The least that can be done: one clock reading a call, a list."""
    clock, run = time.perf_counter_ns, session.run
    warm = clock() + int(0.3e9)
    while clock() < warm:
        run(None, feeds)
    samples: list[int] = []
    start = before = clock()
    while before - start < seconds * 1e9:
        run(None, feeds)
        now = clock()
        samples.append(now - before)
        before = now
    return np.array(samples, np.int64)


if __name__ == "__main__":
    main()
