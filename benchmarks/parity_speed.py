"""How long whole `toolkit parity` commands take: ONNX Runtime and PyTorch, and every engine that is here in float32.

    python benchmarks/parity_speed.py MODEL.onnx [--rounds 3] [--only pair|matrix]

JSON on standard output: seconds from the command's start to its end, and what it judged.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "toolkit/parity-speed/1"
ONE_SETTING = ["--threads", "0", "--optimisation", "all"]
CASES: dict[str, tuple[list[str], int]] = {
    "pair": (["--runtime", "ort,torch", *ONE_SETTING], 20),
    "matrix": (["--runtime", "all", "--precision", "fp32", *ONE_SETTING], 480),
}


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="Times of whole parity commands, in interleaved rounds.")
    parser.add_argument("model", type=Path, help="an .onnx file of ours, with its run among the results")
    parser.add_argument("--rounds", type=int, default=3, help="times of each command")
    parser.add_argument("--only", choices=sorted(CASES), help="one of the commands")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    names = [options.only] if options.only else list(CASES)
    times: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            times[name].append(_time_command(options.model, CASES[name][0]))
    sys.stdout.write(json.dumps(_report(times), indent=2) + "\n")


def _time_command(model: Path, arguments: list[str]) -> dict[str, Any]:
    """Run a command once; a failed check counts, a command that ends in another way does not."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    with tempfile.TemporaryDirectory(prefix="toolkit-parity-speed-") as folder:
        target = Path(folder) / "parity.json"
        command = [sys.executable, "-m", "toolkit", "parity", str(model), *arguments, "--output", str(target)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        seconds = time.perf_counter() - start
        if done.returncode not in {0, 1} or not target.is_file():
            sys.exit(f"{' '.join(command)} left with {done.returncode}: {done.stderr.strip()}")
        rows = json.loads(target.read_text())["rows"]
    return {
        "seconds": round(seconds, 1),
        "judged": {row["runtime"]: {"status": row["status"], "images": row["images"]} for row in rows},
    }


def _report(times: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    from toolkit.environment import describe_environment

    rows = []
    for name, runs in times.items():
        arguments, limit_s = CASES[name]
        seconds = [run["seconds"] for run in runs]
        rows.append(
            {
                "command": f"toolkit parity {' '.join(arguments)}",
                "samples": len(seconds),
                "median_s": statistics.median(seconds),
                "all_s": seconds,
                "limit_s": limit_s,
                "within_limit": statistics.median(seconds) < limit_s,
                "judged": runs[-1]["judged"],
            }
        )
    return {"schema": SCHEMA, "environment": describe_environment(), "rows": rows}


if __name__ == "__main__":
    main()
