"""What decoding one small PNG costs, from its path to plain pixels, per decoder and against bare peers, interleaved.

    python benchmarks/decode.py [--files 2000] [--rounds 7]

The files are the embedded MNIST digits, 28x28, as Pillow writes them. JSON on standard output: core-microseconds per
file (processor time of this process), the fastest round and all of them. Peers judge nothing: no checksum, no size, no
kind.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toolkit.data.load import load_mini
from toolkit.environment import describe_environment
from toolkit.imaging import decode
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.regular_file import read_regular

SCHEMA = "toolkit/decode/1"
Way = Callable[[str], Any]


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="Core-microseconds of decoding one 28x28 PNG from its path.")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="toolkit-decode-") as folder:
        paths = _write_files(Path(folder), options.files)
        rounds = _measure(_ways(), paths, options.rounds)
    fastest = {name: round(min(times), 2) for name, times in rounds.items()}
    report = {
        "schema": SCHEMA,
        "files": len(paths),
        "us_per_file": fastest,
        "us_per_file_rounds": {name: [round(value, 2) for value in times] for name, times in rounds.items()},
        "environment": describe_environment(),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _write_files(folder: Path, count: int) -> list[str]:
    images = load_mini().train.images
    paths = [str(folder / f"{number:05}.png") for number in range(count)]
    for path, image in zip(paths, np.resize(images, (count, *images.shape[1:])), strict=True):
        Image.fromarray(image).save(path)
    return paths


def _ways() -> dict[str, Way]:
    ways: dict[str, Way] = {
        "reading alone": lambda path: read_regular(path, most_bytes=MAX_FILE_BYTES),
        "toolkit": decode.decode_image,
        "toolkit, the long way": _the_long_way,
        "peer: Pillow, asarray": lambda path: np.asarray(Image.open(path)),
    }
    try:
        import cv2
    except ImportError:
        return ways
    ways["peer: OpenCV imread"] = lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return ways


def _the_long_way(path: str) -> Any:
    short, decode.decode_plain_png = decode.decode_plain_png, lambda _, bits: None  # noqa: ARG005
    try:
        return decode.decode_image(path)
    finally:
        decode.decode_plain_png = short


def _measure(ways: dict[str, Way], paths: list[str], rounds: int) -> dict[str, list[float]]:
    """Time every way once a round, so that a busy minute of the machine meets them all; a first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            for path in paths:
                way(path)
            if number:
                times[name].append((time.process_time() - start) / len(paths) * 1e6)
    return times


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
