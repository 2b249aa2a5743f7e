r"""How much of an engine's rate is left behind a port, and whether `toolkit serve` keeps its word; beside its peers.

Server and client have a core each; servers take turns, A B B A; both shares of a core and the engine's own rate stand
in the same tables. The peers need environments of their own:

    python -m venv peers && peers/bin/pip install litserve mosec onnxruntime numpy
    python -m venv mlserver && mlserver/bin/pip install mlserver onnxruntime
    python benchmarks/serving.py MODEL --litserve peers/bin/python --mosec peers/bin/python \
        --mlserver mlserver/bin/python --triton build/triton

`build/triton` is what `make test-oip` makes; `wrk` comes from the system: apt-get install wrk. Markdown on standard
output, each part as JSON as it ends on standard error, all of it with `--output`.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from serving_load.experiment import CLIENT_CORE, Experiment
from serving_load.parts import answers, capacity, ends, engine, latency, metrics, overload, rates, ready, reloads
from serving_load.tables import write_markdown

from toolkit.environment import describe_environment

PARTS: dict[str, Callable[[Experiment], list[dict[str, Any]]]] = {
    "engine": engine.measure,
    "ready": ready.measure,
    "rates": rates.measure,
    "latency": latency.measure,
    "capacity": capacity.measure,
    "overload": overload.measure,
    "metrics": metrics.measure,
    "ends": ends.measure,
    "reloads": reloads.measure,
    "answers": answers.measure,
}
PEERS = ("litserve", "mosec", "mlserver", "triton")
# All parts, to see that they work; its figures say little.
QUICK: dict[str, Any] = {"overload_s": 4.0, "requests": 3000, "pictures": 100, "times": 2, "reloads": 5, "roads": 1}
QUICK_SECONDS, QUICK_TURNS = 1.0, 1


def main() -> None:
    """Measure what was asked for and print it."""
    arguments = _read_arguments()
    environment, is_quick = describe_environment(), arguments.quick
    os.sched_setaffinity(0, {CLIENT_CORE})
    experiment = Experiment(
        model=arguments.model,
        seconds=QUICK_SECONDS if is_quick else arguments.seconds,
        turns=QUICK_TURNS if is_quick else arguments.turns,
        max_p99_ms=arguments.max_p99_ms,
        pythons={name: getattr(arguments, name) for name in PEERS},
        **(QUICK if is_quick else {}),
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for name in arguments.parts.split(","):
        start = time.monotonic()
        found[name] = PARTS[name](experiment)
        print(json.dumps({name: found[name], "took_s": round(time.monotonic() - start, 1)}, indent=1), file=sys.stderr)
    if arguments.output:
        report = {"environment": environment, "model": str(arguments.model), **found}
        arguments.output.write_text(json.dumps(report, indent=1))
    print(write_markdown(found, environment=environment))


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--turns", type=int, default=2, help="of each server in the part rates")
    parser.add_argument("--max-p99-ms", type=float, default=20.0)
    parser.add_argument("--quick", action="store_true", help="small settings, under two minutes without peers")
    parser.add_argument("--output", type=Path, help="all of it as JSON")
    for name in PEERS:
        parser.add_argument(f"--{name}", default="", help="the interpreter that has it; of Triton its environment")
    return parser.parse_args()


if __name__ == "__main__":
    main()
