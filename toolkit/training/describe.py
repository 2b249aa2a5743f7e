"""`config.json`: what a run was, written before its first step."""

from __future__ import annotations

__all__ = ["describe_run"]

from importlib import metadata
from typing import Any

import torch

from toolkit.data.dataset import Dataset
from toolkit.network.cnn import CNN
from toolkit.network.run import RUN_SCHEMA
from toolkit.training.recipe import Recipe

LIBRARIES = ("torch", "numpy", "safetensors")


def describe_run(
    data: Dataset, recipe: Recipe, network: CNN, *, counts: dict[str, int], how: dict[str, Any]
) -> dict[str, Any]:
    """Return the description that `read_run` reads back.

    Args:
        data: the data set.
        recipe: as resolved for the data.
        network: holds the standardisation.
        counts: `train_count` and `validation_count` of the images used.
        how: seed, device and precision of the training.
    """
    mean = network.mean.cpu().double()  # Metal has no float64
    return {
        "schema": RUN_SCHEMA,
        "recipe": recipe.to_json(),
        "data": {
            "name": data.name,
            "sha256": data.sha256,
            "licence": data.licence,
            **counts,
            "test_count": len(data.test),
        },
        "classes": list(data.classes),
        "input": {
            "height": data.height,
            "width": data.width,
            "channels": data.channels,
            "polarity": data.polarity,
            "fit": data.fit,
        },
        "standardisation": {
            "mean": {"min": float(mean.min()), "max": float(mean.max()), "average": float(mean.mean())},
            "std": float(network.std),
            "computed_on": f"the {counts['train_count']} training images of {data.name}",
        },
        "training": {
            **how,
            "threads": torch.get_num_threads(),
            "versions": {name: metadata.version(name) for name in LIBRARIES},
        },
    }
