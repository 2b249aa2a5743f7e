"""Fault models: what a run's network would answer with each of the usual mistakes in it; for triage, no engine."""

from __future__ import annotations

__all__ = ["FaultModelsRuntime"]

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from toolkit.errors import ModelError
from toolkit.network.cnn import CNN
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import list_checkpoints, read_run, split_reference
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo

# What the conversion to fewer bits puts behind a weight's name.
HALF_ENDING = ".half"
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}

Change = Callable[[Tensor], Tensor]
# From uint8 images, widened, to logits.
Answer = Callable[[Tensor], Tensor]

SWAPPED = "height and width are swapped"
# Mistakes in what the network is fed.
OF_IMAGES: dict[str, Change] = {
    SWAPPED: lambda images: images.transpose(1, 2),
    "light and dark are inverted": lambda images: 255 - images,
    "images are mirrored left to right": lambda images: images.flip(2),
    "images are upside down": lambda images: images.flip(1),
    "images are divided by 255 before the standardisation": lambda images: images / 255,
    "pixels over 127 are taken for negative (int8)": lambda images: torch.where(images > 127, images - 256, images),
}
OF_COLOUR: dict[str, Change] = {"red and blue are swapped": lambda images: images.flip(3)}


class FaultModelsRuntime(Runtime):
    """The run's network in float64 with each fault in it; one output for each, float64 `[N, K]`.

    `details["weights"]` lists the weights in which the file differs from the run, `details["are_all_known"]` tells
    whether each weight of the run was found in the file.
    """

    name: ClassVar[str] = "torch-suspects"

    def _open(self, source: ModelSource) -> None:
        if source.run is None:
            raise ModelError("the usual mistakes are tried on a run's network; this model comes with no run")
        self._run = source.run
        self._network = _read_network(source.run)
        config = self._network.config
        self.info = RuntimeInfo(
            runtime=self.name,
            version=torch.__version__,
            provider_active="cpu",
            inputs=(TensorSpec(name="images", dtype="uint8", shape=("batch", *self._network.mean.shape)),),
            outputs=tuple(
                TensorSpec(name=name, dtype="float64", shape=("batch", config.classes)) for name in self._names()
            ),
            details=dict(zip(("weights", "are_all_known"), _compare_weights(source.model, self._network), strict=True)),
        )

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Answer with every fault; see `Runtime.compute`."""
        images = torch.from_numpy(np.array(feeds["images"])).to(torch.float64)
        with torch.inference_mode():
            return {name: answer(images).numpy() for name, answer in self._faults()}

    def _names(self) -> list[str]:
        return [name for name, _ in self._faults()]

    def _faults(self) -> Iterator[tuple[str, Answer]]:
        network = self._network
        square = network.config.height == network.config.width
        for name, change in {**OF_IMAGES, **(OF_COLOUR if network.config.channels == 3 else {})}.items():
            if square or name != SWAPPED:
                yield name, _fed_with(change, network)
        if network.config.standardisation == "data":
            yield from self._standardised_wrongly()
        if network.config.normalisation == "batch":
            yield "training mode: batch normalisation takes the batch's own statistics", self._trained
        for reference in self._other_checkpoints():
            yield f"the weights are those of {reference.name}", partial(_answer_by, reference)

    def _standardised_wrongly(self) -> Iterator[tuple[str, Answer]]:
        network = self._network
        # (x - 0) / 1, and ((x - mean) / std - mean) / std = (x - mean (1 + std)) / std^2.
        zero, one = torch.zeros_like(network.mean), torch.ones_like(network.std)
        yield "standardisation is missing", self._standardised_by(zero, one)
        yield "standardisation is done twice", self._standardised_by(network.mean * (1 + network.std), network.std**2)
        yield "the mean is not subtracted", self._standardised_by(zero, network.std)
        yield "nothing is divided by the standard deviation", self._standardised_by(network.mean, one)

    def _standardised_by(self, mean: Tensor, std: Tensor) -> Answer:
        def answer(images: Tensor) -> Tensor:
            network, own = self._network, (self._network.mean, self._network.std)
            network.mean, network.std = mean, std
            try:
                logits: Tensor = network(images)
            finally:
                network.mean, network.std = own
            return logits

        return answer

    def _trained(self, images: Tensor) -> Tensor:
        """Answer with the batch's statistics, and without touching the running ones or dropping anything."""
        norms = [layer for layer in self._network.modules() if isinstance(layer, nn.BatchNorm2d)]
        kept = [(layer.running_mean, layer.running_var) for layer in norms]
        for layer in norms:
            layer.running_mean, layer.running_var = None, None
        try:
            answer: Tensor = self._network(images)
        finally:
            for layer, (mean, variance) in zip(norms, kept, strict=True):
                layer.running_mean, layer.running_var = mean, variance
        return answer

    def _other_checkpoints(self) -> list[Path]:
        folder, _ = split_reference(self._run)
        return [reference for reference in list_checkpoints(folder) if reference.name != self._run.name]


def _read_network(run: Path) -> CNN:
    return read_checkpoint(read_run(run).checkpoint_path).network.eval().double()


def _fed_with(change: Change, network: CNN) -> Answer:
    def answer(images: Tensor) -> Tensor:
        logits: Tensor = network(change(images))
        return logits

    return answer


def _answer_by(run: Path, images: Tensor) -> Tensor:
    answer: Tensor = _read_network(run)(images)
    return answer


def _compare_weights(model: bytes, network: CNN) -> tuple[list[str], bool]:
    """Return one phrase for each weight of the file with other numbers than the run's, and whether all were found.

    A file of fewer bits holds the run's numbers rounded to them.
    """
    # Where each image has its own, the training images' mean is in no file.
    left = {"mean"} if network.config.standardisation == "image" else set()
    own = {f"network.{name}": value.numpy() for name, value in network.state_dict().items() if name not in left}
    found: dict[str, str] = {}
    for tensor in onnx.ModelProto.FromString(model).graph.initializer:
        name = tensor.name.removesuffix(HALF_ENDING)
        if name in own and tensor.data_type in FLOATS:
            found[name] = _describe_change(tensor.name, numpy_helper.to_array(tensor), wide=own[name])
    return [words for words in found.values() if words], set(found) == set(own)


def _describe_change(name: str, seen: NDArray[Any], *, wide: NDArray[np.float64]) -> str:
    if seen.shape != wide.shape:
        return f"{name} is {list(seen.shape)} in the file and {list(wide.shape)} in the run"
    right = wide.astype(seen.dtype)
    if np.array_equal(seen, right):
        return ""
    largest = float(np.abs(seen.astype(np.float64) - right.astype(np.float64)).max())
    return f"{name} is not the run's in {int((seen != right).sum()):,} of {seen.size:,} numbers, by up to {largest:.3g}"
