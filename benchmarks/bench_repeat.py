"""`toolkit bench` five times: does p50 agree, or do the rows say that they are unstable?

    python benchmarks/bench_repeat.py MODEL [--times 5] [--batch 1,32,256]

JSON on standard output: for each batch size the p50 of every run, largest over smallest less 1, and whether every row
that is off says unstable or busy; the goal is 5 %. The whole command is run, as a user runs it.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.environment import describe_environment
from toolkit.render.bench import BUSY_SHARE

MOST_SPREAD = 0.05


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="Does a benchmark repeat?")
    parser.add_argument("model", type=Path)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--batch", default="1,32,256")
    options = parser.parse_args()
    runs = [_run(options.model, options.batch) for _ in range(options.times)]
    report = {
        "schema": "toolkit/benchmark-bench-repeat/1",
        "goal": MOST_SPREAD,
        "batches": {rows[0]["batch"]: _judge(rows) for rows in zip(*runs, strict=True)},
        "environment": describe_environment(),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _run(model: Path, batch: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "toolkit", "bench", str(model), "--batch", batch, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def _judge(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    medians = [row["latency_ms"]["p50"] for row in rows]
    spread = max(medians) / min(medians) - 1
    busy = [((row["machine"]["others_share"] or 0) + (row["machine"]["steal_share"] or 0)) > BUSY_SHARE for row in rows]
    warned = [row["stable"] is False or is_busy for row, is_busy in zip(rows, busy, strict=True)]
    return {
        "p50_ms": [round(value, 4) for value in medians],
        "spread": round(spread, 4),
        "unstable_or_busy": warned,
        "holds": spread <= MOST_SPREAD or any(warned),
    }


if __name__ == "__main__":
    main()
