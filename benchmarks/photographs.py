"""Memory and speed of a real command on large photographs, which are made for it.

    python benchmarks/photographs.py [--count 40] [--megapixels 48] [--kind jpg] [--classes 4] [--folder DIR] -- COMMAND

The photographs lie in a temporary folder, a sub-folder for each class; a few are encoded, and the others are copies of
those: JPEGs with a remark of their own, so that 4,000 take minutes and no two are equal; others are links, which take
no room. `{photos}` in the command is that folder, `{out}` a folder for what it writes. The command is a child, such as

    toolkit predict MODEL {photos} -o {out}/rows.csv
    toolkit data info {photos}
    toolkit train --data {photos} --size 32 --epochs 1

JSON on standard output: the largest resident memory of the whole tree of processes, sampled, where what they share
counts once (PSS); of the largest process by the kernel's own count; seconds, photographs a second, bytes of the files.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.environment import describe_environment

SCHEMA = "toolkit/benchmark-photographs/1"
PERIOD_S = 0.05
# Encoded anew; the others are copies of these.
DIFFERENT = 8
SIZES = {12: (4032, 3024), 48: (8000, 6000), 64: (9248, 6944)}
SAVED = {"jpg": {"quality": 90}, "png": {"compress_level": 1}, "webp": {"quality": 80, "method": 0}, "tif": {}}


def main() -> None:
    """Make the photographs, run the command and print the report."""
    options, command = _parse()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        photos, out = Path(name, "photos"), Path(name, "out")
        out.mkdir()
        size_bytes = _make_photographs(photos, options)
        words = [word.format(photos=photos, out=out) for word in command]
        measured = _run(words, {**os.environ, "TOOLKIT_ARTIFACTS": str(out / "artifacts")})
    report = {
        "schema": SCHEMA,
        "command": command,
        "environment": describe_environment(),
        "photographs": options.count,
        "megapixels": options.megapixels,
        "kind": options.kind,
        "bytes_read": size_bytes,
        "photographs_per_s": round(options.count / measured["seconds"], 3),
        **measured,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _parse() -> tuple[argparse.Namespace, list[str]]:
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--megapixels", type=int, choices=SIZES, default=48)
    parser.add_argument("--kind", choices=SAVED, default="jpg")
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    options = parser.parse_args(words[:cut])
    if not words[cut + 1 :]:
        parser.error("give the command after --")
    return options, words[cut + 1 :]


def _make_photographs(folder: Path, options: argparse.Namespace) -> int:
    """Write the photographs, class after class, and return the bytes of all."""
    originals: list[bytes] = []
    written: list[Path] = []
    total = 0
    for number in range(options.count):
        path = folder / str(number % options.classes) / f"{number:05}.{options.kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < DIFFERENT:
            _draw(number % options.classes, SIZES[options.megapixels], seed=number).save(path, **SAVED[options.kind])
            originals.append(path.read_bytes())
            written.append(path)
        elif options.kind == "jpg":
            # A segment of remarks behind the first two bytes.
            original, remark = originals[number % DIFFERENT], f"{number:06}".encode()
            path.write_bytes(original[:2] + b"\xff\xfe\0\x08" + remark + original[2:])
        else:
            path.hardlink_to(written[number % DIFFERENT])
        total += path.stat().st_size
    return total


def _draw(label: int, size: tuple[int, int], *, seed: int) -> Image.Image:
    """Return paper, lit unevenly and with grain, with a stroke more on it than the class's number."""
    width, height = size
    rng = np.random.default_rng(seed)
    light = Image.fromarray(rng.integers(150, 230, (3, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.array(light)
    del light
    for stroke in range(label + 1):
        top = height // 4 + stroke * height // 12
        pixels[top : top + height // 30, width // 3 : 2 * width // 3] = 30
    for top in range(0, height, 500):
        rows = pixels[top : top + 500]
        rows += rng.integers(0, 12, (*rows.shape[:2], 1), dtype=np.uint8)
    return Image.fromarray(pixels)


def _run(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    start = time.perf_counter()
    peak = _Resident(0, 0, 0)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        os.set_blocking(process.stderr.fileno(), False)
        log = b""
        while process.poll() is None:
            peak = _Resident(*map(max, peak, _measure(process.pid)))
            log = (log + (process.stderr.read() or b""))[-2000:]
            time.sleep(PERIOD_S)
        log += process.stderr.read() or b""
    return {
        "exit_code": process.returncode,
        "last_words": log.decode(errors="replace").splitlines()[-3:],
        "seconds": round(time.perf_counter() - start, 2),
        "peak_tree_mb": round(peak.tree_kib / 1024, 1),
        "peak_largest_process_mb": round(peak.largest_kib / 1024, 1),
        "processes": peak.processes,
    }


class _Resident(NamedTuple):
    tree_kib: int
    largest_kib: int
    processes: int


def _measure(pid: int) -> _Resident:
    """Return the memory of a process and its descendants together, the most that one of them ever had, their number."""
    tree = largest = count = 0
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            tree += int((folder / "smaps_rollup").read_text().partition("\nPss:")[2].split(maxsplit=1)[0])
            # Not getrusage's: a child begins with the size of the process that made the photographs.
            largest = max(largest, int((folder / "status").read_text().partition("\nVmHWM:")[2].split(maxsplit=1)[0]))
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):  # it has ended
            continue
        count += 1
    return _Resident(tree, largest, count)


if __name__ == "__main__":
    main()
