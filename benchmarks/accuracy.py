"""Test accuracy of recipes over seeds, each seed a `toolkit train --all-data` of its own.

Run by hand:  python benchmarks/accuracy.py --recipe fast --seeds 0,1,2,3,4

Every finished seed is written to the results file at once; a seed that stands there already is not trained again. The
test images are looked at once a seed, at its last epoch, by the image alone and by the mean over its shifts by a pixel
(`test_shift_pixels=1`, which changes nothing in training); they choose nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.durable import read_json, write_json
from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-accuracy/1"
GOALS = {"tutorial": None, "speedrun": 0.9940, "fast": 0.9940, "long": 0.9960, "best": 0.9970}


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", action="append", required=True)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of each training; 0 is torch's choice")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time; their times are then no measurement")
    parser.add_argument("--output", type=Path, default=Path("artifacts/reports/accuracy.json"))
    arguments = parser.parse_args()
    results = read_json(arguments.output) if arguments.output.exists() else {"schema": SCHEMA, "rows": []}
    missing = [
        (recipe, seed)
        for recipe in arguments.recipe
        for seed in map(int, arguments.seeds.split(","))
        if not any((row["recipe"], row["seed"]) == (recipe, seed) for row in results["rows"])
    ]
    for start in range(0, len(missing), arguments.jobs):
        batch = missing[start : start + arguments.jobs]
        running = [(recipe, seed, *_start(recipe, seed, arguments.threads)) for recipe, seed in batch]
        for recipe, seed, process, began in running:
            row = _finish(recipe, seed, process, began)
            results["rows"].append({**row, "jobs": arguments.jobs, "threads": arguments.threads})
            results["environment"] = describe_environment()
            write_json(arguments.output, results)
    for recipe in arguments.recipe:
        _print_summary(recipe, [row for row in results["rows"] if row["recipe"] == recipe])


def _start(recipe: str, seed: int, threads: int) -> tuple[subprocess.Popen[bytes], float]:
    command = [
        sys.executable,
        "-m",
        "toolkit",
        "train",
        "--recipe",
        recipe,
        "--all-data",
        "--seed",
        str(seed),
        "--json",
    ]
    command += ["--threads", str(threads)] if threads else []
    return subprocess.Popen(command, stdout=subprocess.PIPE), time.perf_counter()


def _finish(recipe: str, seed: int, process: subprocess.Popen[bytes], began: float) -> dict[str, Any]:
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{recipe} seed {seed} failed with status {status}")
    history = Path(report["run"], "history.csv").read_text().splitlines()
    column = history[0].split(",").index("seconds")
    return {
        "recipe": recipe,
        "seed": seed,
        "correct": report["evaluation"]["correct"],
        "count": report["evaluation"]["count"],
        **_count_right(Path(report["run"])),
        "epochs": len(history) - 1,
        "epoch_seconds_sum": sum(float(line.split(",")[column]) for line in history[1:]),
        "command_seconds": time.perf_counter() - began,
        "peak_resident_mb": usage.ru_maxrss / 1024,
        "checkpoint_sha256": report["checkpoint_sha256"],
    }


def _count_right(run: Path) -> dict[str, int]:
    import torch

    from toolkit.data import load_dataset
    from toolkit.runs.checkpoint import read_checkpoint
    from toolkit.runs.run import read_run
    from toolkit.training.steps.epoch import count_right, predict_logits

    network, test = read_checkpoint(read_run(run).checkpoint_path).network, load_dataset("mnist").test
    images, labels = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    counts = {}
    for key, pixels in (("correct_alone", 0), ("correct_with_test_shifts", 1)):
        network.config = replace(network.config, test_shift_pixels=pixels)
        counts[key] = count_right(predict_logits(network, images), labels)
    return counts


def _print_summary(recipe: str, rows: list[dict[str, Any]]) -> None:
    shares, alone, shifted = (
        [row[key] / row["count"] for row in rows] for key in ("correct", "correct_alone", "correct_with_test_shifts")
    )
    spread = statistics.stdev(shares) if len(shares) > 1 else float("nan")
    goal = GOALS.get(recipe)
    print(
        f"{recipe}: {', '.join(f'{100 * value:.2f}' for value in shares)} % on {rows[0]['count']:,} test images, "
        f"seeds {', '.join(str(row['seed']) for row in rows)}; mean {100 * statistics.mean(shares):.3f}, "
        f"deviation {100 * spread:.3f}, lowest {100 * min(shares):.2f} (goal {goal and 100 * goal}); "
        f"without test-time shifts {_listed(alone)}, with them {_listed(shifted)}; "
        f"epochs' time {statistics.median(row['epoch_seconds_sum'] for row in rows):.0f} s (median), "
        f"peak {max(row['peak_resident_mb'] for row in rows):.0f} MB"
    )


def _listed(shares: list[float]) -> str:
    return f"{', '.join(f'{100 * value:.2f}' for value in shares)} (mean {100 * statistics.mean(shares):.3f})"


if __name__ == "__main__":
    main()
