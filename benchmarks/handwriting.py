"""Handwriting that no model was trained on, drawn large, off-centre, dark on light, 16-bit, through `toolkit predict`.

    python benchmarks/handwriting.py MODEL [MODEL ...]

Sets: UCI's 1,797 digits (8x8 pixels, enlarged), MNIST's embedded test digits, digits of fonts. JSON on standard output:
right answers of each model on each set.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from handwriting import font_digits, uci_digits, write_handwriting

from toolkit.data.load import load_mini
from toolkit.environment import describe_environment
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.run import run_prediction


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description="Accuracy on handwriting of other origins.")
    parser.add_argument("models", type=Path, nargs="+")
    models = parser.parse_args().models
    with tempfile.TemporaryDirectory(prefix="toolkit-handwriting-") as name:
        folder = Path(name)
        mini = load_mini().test
        sets = {"uci": uci_digits(), "mnist": (mini.images, mini.labels), "fonts": font_digits()}
        for origin, (pictures, labels) in sets.items():
            write_handwriting(folder / origin, pictures, labels, origin=origin)
        rows = [
            {"model": model.stem, "set": origin, **_score(model, folder / origin)}
            for model in models
            for origin in sets
        ]
    report = {"schema": "toolkit/benchmark-handwriting/1", "rows": rows, "environment": describe_environment()}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _score(model: Path, folder: Path) -> dict[str, object]:
    config = PredictionConfig(
        model=model, inputs=(folder,), output=folder.with_suffix(".csv"), force=True, truths="filename"
    )
    report = run_prediction(config)
    return {**(report.score or {}), "errors": report.num_errors}


if __name__ == "__main__":
    main()
