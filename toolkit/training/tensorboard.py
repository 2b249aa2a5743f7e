"""TensorBoard events of a run: scalars after every epoch, the graph, the misclassified images."""

from __future__ import annotations

__all__ = ["Board"]

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.programs import import_extra
from toolkit.runs.history import EpochRow

MOST_IMAGES = 50


class Board:
    """Writes into `<run>/tensorboard`; look at it with `tensorboard --logdir artifacts/runs`.

    Raises:
        ResourceError: the package tensorboard is not installed.
    """

    def __init__(self) -> None:
        board = import_extra("torch.utils.tensorboard", extra="tensorboard", user="--tensorboard")
        self._make_writer = board.SummaryWriter
        self._writer: Any = None

    def open(self, run: Path, network: NetworkConfig) -> None:
        """Begin the events of a run with the graph of its network."""
        self._writer = self._make_writer(str(run / "tensorboard"))
        shape = (1, network.height, network.width) + ((3,) if network.channels == 3 else ())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the graph is drawn by torch's tracer, which torch calls outdated
            # A network of its own: drawing must not touch the one that is trained, nor torch's random numbers.
            with torch.random.fork_rng(devices=[]):
                self._writer.add_graph(CNN(network).eval(), torch.zeros(shape, dtype=torch.uint8))

    def add_epoch(self, row: EpochRow) -> None:
        """Add an epoch's figures."""
        values = {
            "loss/training": row.train_loss,
            "loss/validation": row.validation_loss,
            "accuracy/training": row.train_accuracy,
            "accuracy/validation": row.validation_accuracy,
            "learning_rate": row.learning_rate,
            "seconds": row.seconds,
        }
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, row.epoch)
        self._writer.flush()

    def add_mistakes(self, images: NDArray[np.uint8], captions: list[str], *, epoch: int) -> None:
        """Add misclassified test images, each under its caption.

        Args:
            images: uint8 `[N, H, W]` or `[N, H, W, 3]`, worst first; the first 50 are taken.
            captions: one for each image.
            epoch: of the network that was judged.
        """
        for number, (image, caption) in enumerate(zip(images[:MOST_IMAGES], captions, strict=False)):
            formats = "HW" if image.ndim == 2 else "HWC"
            self._writer.add_image(f"mistakes/{number + 1:02d}: {caption}", image, epoch, dataformats=formats)

    def close(self) -> None:
        """Finish the events."""
        self._writer.close()
