r"""How much of an engine's rate is left behind a port: `toolkit serve` beside LitServe, mosec and MLServer.

Server and client have a core each; servers take turns, A B B A; both shares of a core and the engine's own rate stand
in the same table. The peers need environments of their own:

    python -m venv peers && peers/bin/pip install litserve mosec onnxruntime numpy
    python -m venv mlserver && mlserver/bin/pip install mlserver onnxruntime
    python benchmarks/serving.py MODEL --litserve peers/bin/python --mosec peers/bin/python \
        --mlserver mlserver/bin/python

`wrk` comes from the system: apt-get install wrk. JSON on standard output, each part as it ends on standard error.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from serving_load.experiment import CLIENT_CORE, Experiment
from serving_load.parts import capacity, ends, engine, latency, overload, rates, reloads

from toolkit.environment import describe_environment

PARTS: dict[str, Callable[[Experiment], list[dict[str, Any]]]] = {
    "engine": engine.measure,
    "rates": rates.measure,
    "latency": latency.measure,
    "overload": overload.measure,
    "ends": ends.measure,
    "reloads": reloads.measure,
    "capacity": capacity.measure,
}
PEERS = ("litserve", "mosec", "mlserver")


def main() -> None:
    """Measure what was asked for and print it as JSON."""
    arguments = _read_arguments()
    os.sched_setaffinity(0, {CLIENT_CORE})
    experiment = Experiment(
        model=arguments.model,
        seconds=arguments.seconds,
        turns=arguments.turns,
        max_p99_ms=arguments.max_p99_ms,
        pythons={name: getattr(arguments, name) for name in PEERS},
    )
    report: dict[str, Any] = {"environment": describe_environment(), "model": str(arguments.model)}
    for name in arguments.parts.split(","):
        report[name] = PARTS[name](experiment)
        print(json.dumps({name: report[name]}, indent=1), file=sys.stderr)
    print(json.dumps(report, indent=1))


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--turns", type=int, default=2, help="of each server in the part rates")
    parser.add_argument("--max-p99-ms", type=float, default=20.0)
    for name in PEERS:
        parser.add_argument(f"--{name}", default="", help="the interpreter that has it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
