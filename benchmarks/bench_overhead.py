"""What the timing harness adds to a call, over a bare loop around `InferenceSession.run`; in turns A B B A.

    python benchmarks/bench_overhead.py MODEL [--rounds 10] [--seconds 0.7]

JSON on standard output: for batch 1 and 128 the p50 of both loops in every round, their difference in microseconds and
the ratio of their throughput; goals: under 3 us at p50 with batch 1, at most 2 % of throughput with batch 128. Both
loops call the same session with the same arrays, so that only what stands around the call differs.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.bench.measuring.inputs import make_feeds
from toolkit.bench.statistics import bootstrap_intervals, summarise
from toolkit.card import read_card
from toolkit.environment import describe_environment
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.timing.loop import measure
from toolkit.runtimes.timing.plan import MeasurePlan

MOST_P50_US = 3.0
MOST_THROUGHPUT_LOSS = 0.02


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="The cost of the timing harness.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.7)
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
    plan = MeasurePlan(warmup_calls=10, warmup_s=0.2, min_calls=1, min_s=seconds, max_s=seconds)
    bare: list[np.ndarray] = []
    harness: list[np.ndarray] = []
    with OrtRuntime(source, RuntimeSettings()) as runtime:
        card = read_card(runtime.info.metadata, name=str(source.path))
        feeds = make_feeds(runtime.info.inputs, batch=batch, golden=card.golden).arrays
        for number in range(rounds):
            # A B B A: what changes slowly meets both alike.
            order = (_bare, _harness) if number % 2 == 0 else (_harness, _bare)
            for loop in order:
                (bare if loop is _bare else harness).append(loop(runtime, feeds, plan))
    differences = [
        (float(np.median(ours)) - float(np.median(theirs))) / 1e3 for ours, theirs in zip(harness, bare, strict=True)
    ]
    losses = [1 - float(theirs.mean()) / float(ours.mean()) for ours, theirs in zip(harness, bare, strict=True)]
    pooled = np.concatenate(harness)
    return {
        "calls": [len(samples) for samples in harness],
        "bare_p50_us": [round(float(np.median(samples)) / 1e3, 2) for samples in bare],
        "harness_p50_ms": summarise(pooled, items=batch).percentiles_ms["p50"],
        "harness_p50_ci95_ms": bootstrap_intervals(pooled, items=batch)["p50"],
        "added_p50_us": _spread(differences, 2),
        "throughput_loss": _spread(losses, 4),
    }


def _spread(values: list[float], digits: int) -> dict[str, Any]:
    return {"median": round(statistics.median(values), digits), "rounds": [round(value, digits) for value in values]}


def _harness(runtime: OrtRuntime, feeds: dict[str, Any], plan: MeasurePlan) -> np.ndarray:
    return measure(runtime, feeds, plan=plan).samples_ns


def _bare(runtime: OrtRuntime, feeds: dict[str, Any], plan: MeasurePlan) -> np.ndarray:
    """The least that can be done: one clock reading a call, a list."""
    clock, run = time.perf_counter_ns, runtime._session.run  # noqa: SLF001 - the very same session
    warm = clock() + int(plan.warmup_s * 1e9)
    while clock() < warm:
        run(None, feeds)
    samples: list[int] = []
    start = before = clock()
    while before - start < plan.max_s * 1e9:
        run(None, feeds)
        now = clock()
        samples.append(now - before)
        before = now
    return np.array(samples, np.int64)


if __name__ == "__main__":
    main()
