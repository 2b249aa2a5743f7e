"""The card's fields, from what the run recorded; no times, nothing measured on a clock."""

from __future__ import annotations

__all__ = ["build_card"]

from importlib import metadata
from typing import Any

import toolkit
from toolkit.card import Card, Golden, InputSpec
from toolkit.evaluation.accuracy import AccuracyReport
from toolkit.network.checkpoint import Checkpoint
from toolkit.network.run import RunConfig
from toolkit.plain import to_plain
from toolkit.runtimes.rounding import BOUND_FORMULA

# onnxruntime 1.18 is the first that reads IR version 10 (its compatibility table).
MINIMUM = {"opset": 18, "ir": 10, "onnxruntime": "1.18"}


def build_card(
    run: RunConfig,
    checkpoint: Checkpoint,
    *,
    name: str,
    precision: str,
    accuracy: AccuracyReport,
    bound: float,
    guard: dict[str, Any],
    golden: Golden | None,
) -> Card:
    """Return the card of a run's file."""
    recipe = {key: value for key, value in run.recipe.items() if key != "network"}
    # A run may have been stopped early or made longer, and this may be an earlier checkpoint of it.
    recipe["epochs"] = checkpoint.epoch
    config = checkpoint.network.config
    versions = {package: metadata.version(package) for package in ("torch", "onnx", "onnxscript")}
    return Card(
        name=name,
        classes=run.classes,
        input=InputSpec(**run.input),
        standardisation=run.standardisation,
        precision=precision,
        network={"preset": "cnn", **to_plain(config), "parameters": config.num_parameters},
        recipe={**recipe, "seed": run.training["seed"], "all_data": run.training["all_data"]},
        data={key: run.data[key] for key in ("name", "sha256", "train_count", "test_count", "licence")},
        checkpoint_sha256=checkpoint.sha256,
        test_accuracy={
            "value": accuracy.accuracy,
            "correct": accuracy.correct,
            "count": accuracy.count,
            "ci95": list(accuracy.interval),
        },
        bound={"logits": bound, "formula": BOUND_FORMULA},
        guard=guard,
        golden=golden,
        minimum=MINIMUM,
        versions={**versions, "toolkit": toolkit.__version__},
        author="",
        licence="",
    )
