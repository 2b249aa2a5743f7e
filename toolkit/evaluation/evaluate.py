"""A run or a model file judged on a data set's test images."""

from __future__ import annotations

__all__ = ["evaluate_model", "evaluate_run", "require_same_data"]

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.dataset import Dataset
from toolkit.errors import DataError
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.source import ModelSource

BATCH = 500


def require_same_data(data: Dataset, recorded: dict[str, Any], *, owner: str) -> None:
    """Check that a data set is the one that a run or a card was made with.

    Raises:
        DataError: the hashes differ.
    """
    if data.sha256 != recorded["sha256"]:
        raise DataError(
            f"{owner} was made with {recorded['name']} of SHA-256 {recorded['sha256'][:12]}..., but {data.name} has "
            f"{data.sha256[:12]}...; name the same data with --data"
        )


def evaluate_run(run: Path, data: Dataset) -> AccuracyReport:
    """Judge a run's last checkpoint with PyTorch, in float32 on the CPU.

    Raises:
        ModelError: the run or its checkpoint cannot be used.
        DataError: the images do not fit the network.
    """
    import torch

    from toolkit.network.checkpoint import read_checkpoint
    from toolkit.network.run import read_run

    network = read_checkpoint(read_run(run).checkpoint_path).network
    _require_shape(data, tuple(network.mean.shape), classes=network.config.classes)
    with torch.inference_mode():
        labels = [network(torch.from_numpy(chunk)).argmax(dim=1).numpy() for chunk in _chunks(data.test.images)]
    return measure_accuracy(data.test.labels, np.concatenate(labels), classes=len(data.classes), dataset=data.name)


def evaluate_model(source: ModelSource, data: Dataset, *, settings: RuntimeSettings) -> AccuracyReport:
    """Judge a model file with a runtime in its own process, by its own output `label`.

    Raises:
        ModelError: the file cannot be used.
        DataError: the images do not fit the model.
        ProviderError: the provider asked for is not active.
    """
    with WorkerRuntime(source, settings) as runtime:
        card = require_contract(runtime.info, name=source.path.name)
        _require_shape(data, card.input.shape, classes=len(card.classes))
        labels = [runtime.run({"images": chunk})["label"] for chunk in _chunks(data.test.images)]
    return measure_accuracy(data.test.labels, np.concatenate(labels), classes=len(data.classes), dataset=data.name)


def _chunks(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _require_shape(data: Dataset, shape: tuple[int, ...], *, classes: int) -> None:
    if data.test.images.shape[1:] != shape or len(data.classes) != classes:
        raise DataError(
            f"{data.name} has images of {list(data.test.images.shape[1:])} in {len(data.classes)} classes; "
            f"the model takes {list(shape)} and knows {classes}"
        )
