"""A training on a million pictures against one on 60,000: its memory, and seconds a picture in turns.

    python benchmarks/million_pictures.py [--large 1000000] [--small 60000] [--recipe speedrun] [--form idx] [--whole]

Both sets are made, 28x28 (MNIST's digits out of the package with noise of their own), and lie in a temporary folder as
IDX files or as one NPZ. One process then opens both and trains on them in turns of 100 steps, A B B A, so that what
else the machine does meets both. With `--whole`, `toolkit train --epochs 1 --all-data` runs on each, and its memory is
sampled: `own` is what the process holds for itself, `mapped` what it looks at in files, which the system may forget at
any time. JSON on standard output.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.data.load import load_mini
from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-million-pictures/1"
BLOCK = 10_000
TEST_COUNT = 10_000
TURN_STEPS = 100
PERIOD_S = 0.05
MEGABYTE_KIB = 1024


class TurnEndedError(Exception):
    """Ends an epoch where it is; the next turn goes on from there."""


def main() -> None:
    """Measure and print the report; or, as a child, train on both sets in turns."""
    options = _parse()
    if options.folders:
        sys.stdout.write(json.dumps(_train_in_turns(options.folders, recipe=options.recipe, turns=options.turns)))
        return
    counts = {"small": options.small, "large": options.large}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        paths = [_make_set(Path(name), set_name, count, form=options.form) for set_name, count in counts.items()]
        turns = [sys.executable, __file__, "--turns", str(options.turns), "--recipe", options.recipe, "--folders"]
        done = subprocess.run([*turns, *map(str, paths)], stdout=subprocess.PIPE, text=True, check=True)
        whole = {path.stem: _train_whole(path, options.recipe) for path in paths} if options.whole else None
    report = {
        "schema": SCHEMA,
        "counts": counts,
        "form": options.form,
        "recipe": options.recipe,
        "steps_a_turn": TURN_STEPS,
        "us_a_picture": json.loads(done.stdout),
        "whole": whole,
        "environment": describe_environment(),
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=60_000)
    parser.add_argument("--recipe", default="speedrun")
    parser.add_argument("--form", choices=("idx", "npz"), default="idx")
    parser.add_argument("--turns", type=int, default=40, help="of each set, an even number")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--folders", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _make_set(folder: Path, name: str, count: int, *, form: str) -> Path:
    """Write a set and return its path, without ever holding it."""
    path = folder / name
    path.mkdir()
    random = np.random.default_rng(count)
    for role, images in (("train", count), ("t10k", TEST_COUNT)):
        _write_idx(path, role, images, random=random)
    if form == "idx":
        return path
    archive = path.with_suffix(".npz")
    mapped: Any = {
        f"{part}_{kind}": np.memmap(path / file, np.uint8, "r", offset=8 if kind == "labels" else 16).reshape(
            (-1,) if kind == "labels" else (-1, 28, 28)
        )
        for part, role in (("train", "train"), ("test", "t10k"))
        for kind, file in (("images", f"{role}-images-idx3-ubyte"), ("labels", f"{role}-labels-idx1-ubyte"))
    }
    np.savez(archive, **mapped)
    return archive


def _write_idx(folder: Path, role: str, count: int, *, random: np.random.Generator) -> None:
    mini = load_mini().train
    with (
        (folder / f"{role}-images-idx3-ubyte").open("wb") as pixels,
        (folder / f"{role}-labels-idx1-ubyte").open("wb") as labels,
    ):
        pixels.write(bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 28, 28))
        labels.write(bytes([0, 0, 8, 1]) + struct.pack(">I", count))
        for start in range(0, count, BLOCK):
            chosen = random.integers(0, len(mini), min(BLOCK, count - start))
            noise = random.integers(0, 32, (len(chosen), 28, 28), dtype=np.uint8)
            pixels.write(np.maximum(mini.images[chosen], noise).tobytes())
            labels.write(mini.labels[chosen].astype(np.uint8).tobytes())


def _train_in_turns(paths: list[str], *, recipe: str, turns: int) -> dict[str, Any]:
    """Return microseconds of wall and of processor a picture, of both sets and their ratio."""
    from toolkit.data import load_dataset
    from toolkit.training.recipe_catalog import resolve_recipe
    from toolkit.training.session import choose_machine, make_session

    asked = resolve_recipe(recipe)
    machine = choose_machine(asked, device="auto", threads=0)
    sessions = {}
    for path in paths:
        data = load_dataset(path)
        fitted = asked.for_dataset(data).for_count(len(data.train))
        # As many epochs as the turns need: the rate's schedule does not change the work.
        sessions[Path(path).stem] = make_session(
            data.train, None, recipe=fitted, seed=0, machine=machine, cycles=(turns * TURN_STEPS,)
        )
    small, large = sessions
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sessions}
    for name in (small, large, large, small) * (turns // 2):
        seen[name].append(_run_turn(sessions[name]))
    wall, processor = ({name: [pair[kind] for pair in pairs] for name, pairs in seen.items()} for kind in (0, 1))
    return {
        "threads": machine.threads,
        "wall": {name: round(statistics.median(values), 2) for name, values in wall.items()},
        "wall_ratio": _compare(wall[small], wall[large]),
        "processor": {name: round(statistics.median(values), 2) for name, values in processor.items()},
        "processor_ratio": _compare(processor[small], processor[large]),
        "turns": turns,
    }


def _run_turn(session: Any) -> tuple[float, float]:
    """Go some steps on, over the end of an epoch where there is one, and return microseconds a picture."""
    done = 0
    begun = [0.0, 0.0]

    def after_step(*_: int) -> None:
        nonlocal done
        done += 1
        if done == 1:  # an epoch's order is drawn before its first step, of a million as of 60,000
            begun[:] = time.perf_counter(), time.process_time()
        elif done > TURN_STEPS:
            raise TurnEndedError

    try:
        while True:
            session.run_epoch(after_step)
            done, begun[:] = 0, (0.0, 0.0)  # a turn that met the end of an epoch begins again in the next one
    except TurnEndedError:
        ends = time.perf_counter(), time.process_time()
    pictures = TURN_STEPS * session.recipe.batch_size
    return tuple(1e6 * (end - start) / pictures for start, end in zip(begun, ends, strict=True))


def _compare(small: list[float], large: list[float]) -> dict[str, Any]:
    """Return the large set's time by the small one's: neighbours in turns are compared, their median and quartiles."""
    ratios = [above / below for below, above in zip(small, large, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}


def _train_whole(path: Path, recipe: str) -> dict[str, Any]:
    """Train one epoch as a user does and return its seconds, and its memory in MB at the most."""
    with tempfile.TemporaryDirectory() as artifacts:
        words = ["-m", "toolkit", "train", "--data", path, "--recipe", recipe, "--epochs", "1", "--all-data"]
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env={**os.environ, "TOOLKIT_ARTIFACTS": artifacts, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        samples = []
        while process.poll() is None:
            samples.append(_measure(process.pid))
            time.sleep(PERIOD_S)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"{words} left with {process.returncode}")
        history = next(Path(artifacts).glob("runs/*/history.csv")).read_text().splitlines()
    columns = dict(zip(*(line.split(",") for line in history), strict=True))
    own, mapped = (max(values) for values in zip(*samples, strict=True))
    return {
        "seconds": round(seconds, 1),
        "epoch_seconds": float(columns["seconds"]),
        "own_mb": round(own, 1),
        "mapped_mb": round(mapped, 1),
    }


def _measure(pid: int) -> tuple[float, float]:
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return 0.0, 0.0
    return tuple(int(status.get(key, "0 kB").split()[0]) / MEGABYTE_KIB for key in ("RssAnon", "RssFile"))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
