"""How much the guard sees, and how often it doubts a test digit without cause.

    python benchmarks/guard.py MODEL [MODEL ...]

Sets: MNIST's 10,000 test images, of which none should be doubted; blanks, noise, textures, letters of fonts and pairs
of digits, of which all should be. JSON on standard output: the share doubted of each, and the cost of an image beside
the model's own, both on one core.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
from off_domain import LETTERS, blanks, letters, noise, pairs, textures

from toolkit.data.dataset import load_dataset
from toolkit.environment import describe_environment
from toolkit.imaging.guard import Guard
from toolkit.runtimes.open_runtime import open_runtime

GOALS = {"test": 0.01, "blanks": 0.99, "noise": 0.99, "textures": 0.9, "letters": 0.6}
REPEATS = 5


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="What the guard doubts.")
    parser.add_argument("models", type=Path, nargs="+")
    models = parser.parse_args().models
    test = load_dataset("mnist").test.images
    sets = {
        "test": test,
        "blanks": blanks(),
        "noise": noise(),
        "textures": textures(),
        "letters": letters(),
        "pairs": pairs(test),
    }
    report = {
        "schema": "toolkit/benchmark-guard/1",
        "goals": GOALS,
        "letters": LETTERS,
        "counts": {name: len(pictures) for name, pictures in sets.items()},
        "models": [_measure(model, sets) for model in models],
        "environment": describe_environment(),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
