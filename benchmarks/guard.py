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
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
import onnxruntime
from off_domain import LETTERS, blanks, letters, noise, pairs, textures

from toolkit.card import Card, card_beside
from toolkit.data.load import load_dataset
from toolkit.environment import describe_environment
from toolkit.imaging.guard import Guard

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


def _measure(model: Path, sets: dict[str, Any]) -> dict[str, Any]:
    card = Card.loads(card_beside(model).read_bytes())
    guard = Guard.from_card(card.guard, classes=len(card.classes))
    if guard is None:
        raise SystemExit(f"{model} has no guard in its card")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    answers = {name: _answer(session, pictures) for name, pictures in sets.items()}
    shares = {name: len(guard.judge(pictures, answers[name])) / len(pictures) for name, pictures in sets.items()}
    own, whole = (
        _microseconds(lambda: guard.judge(sets["test"], answers["test"]), len(sets["test"])),
        _microseconds(lambda: _answer(session, sets["test"]), len(sets["test"])),
    )
    return {
        "model": card.name,
        "recipe": card.recipe.get("name", ""),
        "shares": {name: round(share, 4) for name, share in shares.items()},
        "missed_goals": [
            name for name, goal in GOALS.items() if (shares[name] > goal if name == "test" else shares[name] < goal)
        ],
        "guard_us_per_image": round(own, 2),
        "model_us_per_image": round(whole, 2),
        "card_bytes": len(json.dumps(card.guard, separators=(",", ":"))),
    }


def _answer(session: onnxruntime.InferenceSession, pictures: Any) -> Any:
    parts = [pictures[start : start + 64] for start in range(0, len(pictures), 64)]
    return np.concatenate([session.run(["logits"], {"images": part})[0] for part in parts])


def _microseconds(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times) / count


if __name__ == "__main__":
    main()
