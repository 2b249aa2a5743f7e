"""What a training takes beside busy processes, alone and beside them in turns.

Run by hand, on a quiet machine:  python benchmarks/train_beside.py --turns 2

OpenMP's threads spin before they sleep; where something else wants the cores, a spinning thread keeps out the one it
waits for. Whole commands, `toolkit train` of one epoch, are timed with the product's own setting and with others. Busy
processes are Python loops. The goal: at most 1.3 times what an even share of the cores gives (the time alone, times
runnable threads over cores), and 1.2 times the processor time of alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TIME_GOAL, PROCESSOR_GOAL = 1.3, 1.2
OWN = "the product's"


def main() -> None:
    """Time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="speedrun")
    parser.add_argument("--busy", type=int, default=2, help="busy processes")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--spin", default=f"{OWN},100000", help="GOMP_SPINCOUNT, several; 300000 is GNU OpenMP's own")
    parser.add_argument("--output", type=Path, default=Path("artifacts/reports/train-beside.json"))
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    values: dict[str, list[tuple[float, float]]] = {}
    for turn in range(arguments.turns):
        for spin in arguments.spin.split(","):
            for busy in (0, arguments.busy) if turn % 2 == 0 else (arguments.busy, 0):
                values.setdefault(f"{spin}, {busy} busy", []).append(_train(arguments.recipe, spin=spin, busy=busy))
                print(f"turn {turn + 1}: {spin}, {busy} busy: {values[f'{spin}, {busy} busy'][-1]}", flush=True)
    share = (cores + arguments.busy) / cores
    ratios = {}
    for spin in arguments.spin.split(","):
        alone, beside = ([*zip(*values[f"{spin}, {busy} busy"], strict=True)] for busy in (0, arguments.busy))
        seconds, processor = (statistics.median(b) / statistics.median(a) for a, b in zip(alone, beside, strict=True))
        ratios[spin] = {"of an even share": seconds / share, "processor": processor}
        print(
            f"{spin}: beside {arguments.busy} busy processes {seconds / share:.2f} times an even share's time (goal "
            f"{TIME_GOAL}), {processor:.2f} times the processor time of alone (goal {PROCESSOR_GOAL})"
        )
    from toolkit.durable import write_json
    from toolkit.environment import describe_environment

    report = {
        "schema": "toolkit/benchmark-train-beside/1",
        "command": " ".join(sys.argv),
        "environment": describe_environment(),
        "seconds_and_processor_seconds": values,
        "ratios": ratios,
        "goals": {"of an even share": TIME_GOAL, "processor": PROCESSOR_GOAL},
    }
    write_json(arguments.output, report)


def _train(recipe: str, *, spin: str, busy: int) -> tuple[float, float]:
    """Return seconds and processor seconds of a whole command."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin != OWN:
        environment["GOMP_SPINCOUNT"] = spin
    with tempfile.TemporaryDirectory() as folder, _busy(busy):
        words = ["train", "--recipe", recipe, "--epochs", "1", "--data", "mnist", "--all-data"]
        environment["TOOLKIT_ARTIFACTS"] = folder
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "toolkit", *words], env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"toolkit {' '.join(words)} ended with {child.returncode}")
        return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main()
