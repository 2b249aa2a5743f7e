"""How long commands take to start: `python -c pass`, `toolkit --help` and `toolkit predict` of one image, interleaved.

    python benchmarks/startup.py [--rounds 15] [--model M.onnx --image X.png] [--model M.onnx --pictures FOLDER]

`--pictures` adds two whole commands, start and end included: `toolkit predict` of a folder of PNGs, and the same by
`plain_predict.py`, twelve lines with Pillow and ONNX Runtime. Modules are compiled, as pip leaves them, whatever the
environment says. Standard library only. JSON on standard output: medians in milliseconds and as ratios to the bare
interpreter; the median of the rounds' own ratios of those two.
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
SCHEMA = "toolkit/startup/1"
SCRIPT, PREDICT = "twelve lines with Pillow and ONNX Runtime", "toolkit predict, a folder"
LIMITS_MS = {"toolkit --help": 250, "toolkit predict, one image": 700}


def main() -> None:
    """Measure and print the report."""
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="toolkit-startup-") as folder:
        commands = _commands(options, Path(folder))
        times = _measure(commands, options.rounds)
    sys.stdout.write(json.dumps(_report(times, options), indent=2) + "\n")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times of starting commands, in interleaved rounds.")
    parser.add_argument("--rounds", type=int, default=15, help="times of each command that count; one more warms up")
    parser.add_argument("--model", type=Path, help="an .onnx file of ours; the latest by default")
    parser.add_argument("--image", type=Path, help="an image to predict; without one, predict is left out")
    parser.add_argument("--pictures", type=Path, help="a folder of PNGs of the model's own size to predict")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.pictures is not None and options.model is None:
        parser.error("--pictures needs --model")
    return options


def _commands(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    toolkit = [sys.executable, "-m", "toolkit"]
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "toolkit --help": [*toolkit, "--help"]}
    if options.image is not None:
        model = [str(options.model.resolve())] if options.model else []
        output = ["--output", str(folder / "predictions.csv"), "--force"]
        commands["toolkit predict, one image"] = [*toolkit, "predict", *model, str(options.image.resolve()), *output]
    if options.pictures is not None:
        given, output = [str(options.model.resolve()), str(options.pictures.resolve())], str(folder / "rows.csv")
        commands[SCRIPT] = [sys.executable, str(Path(__file__).with_name("plain_predict.py")), *given, output]
        commands[PREDICT] = [*toolkit, "predict", *given, "--output", output, "--force"]
    return commands


def _measure(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Time every command once in each round, so that a busy minute of the machine meets them all."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in reversed(commands.items()) if number % 2 else commands.items():
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            elapsed_ms = (time.perf_counter() - start) * 1e3
            if done.returncode:
                sys.exit(f"{name} left with {done.returncode}: {done.stderr.strip()}")
            if number:  # the first round fills the file cache and compiles the modules
                times[name].append(elapsed_ms)
    return times


def _report(times: dict[str, list[float]], options: argparse.Namespace) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    from toolkit.environment import describe_environment

    bare = statistics.median(times["python -c pass"])
    rows = [
        {
            "command": name,
            "samples": len(values),
            "median_ms": round(statistics.median(values), 1),
            "min_ms": round(min(values), 1),
            "max_ms": round(max(values), 1),
            "ratio_to_bare_python": round(statistics.median(values) / bare, 2),
            "limit_ms": LIMITS_MS.get(name),
            "within_limit": statistics.median(values) < LIMITS_MS[name] if name in LIMITS_MS else None,
        }
        for name, values in times.items()
    ]
    ratios = [a / b for a, b in zip(times[SCRIPT], times[PREDICT], strict=True)] if PREDICT in times else []
    return {
        "schema": SCHEMA,
        "rounds": options.rounds,
        "environment": describe_environment(),
        "rows": rows,
        "script_to_predict": round(statistics.median(ratios), 3) if ratios else None,
    }


if __name__ == "__main__":
    main()
