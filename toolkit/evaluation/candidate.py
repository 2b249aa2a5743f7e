"""A run or a model file, opened once and asked for answers as often as needed.

Shapes: N images, H rows, W columns, K classes.
"""

from __future__ import annotations

__all__ = ["Candidate", "CandidateAnswers", "ModelCandidate", "RunCandidate", "open_candidate"]

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.card import InputSpec
from toolkit.closing import Closing
from toolkit.data.images import PIECE_PIXELS, split_images
from toolkit.errors import ModelError
from toolkit.runs.run import read_run

if TYPE_CHECKING:
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import RuntimeSettings


class CandidateAnswers(NamedTuple):
    """What a model said.

    Attributes:
        probabilities: float32 `[N, K]`.
        labels: int64 `[N]`, the model's own labels.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]


class Candidate(Closing, ABC):
    """An opened model; a context manager. Subclasses fill the attributes while opening and compute in `_answer`.

    Attributes:
        kind: `run` or `model`.
        name: what messages and file names call it.
        identity: what a report records about it.
        classes: its class names.
        input: what one image must look like.
        data: the data set it was made with: at least `name` and `sha256`.
        views: images that are held at once for one answer.
    """

    kind: ClassVar[str]
    name: str
    identity: dict[str, Any]
    classes: tuple[str, ...]
    input: InputSpec
    data: dict[str, Any]
    views: int = 1

    @property
    def title(self) -> str:
        """`run NAME` or `model NAME`: a run and its file share their name."""
        return f"{self.kind} {self.name}"

    @abstractmethod
    def _answer(self, images_NHW: NDArray[np.uint8]) -> CandidateAnswers:
        """Answer one batch."""

    def answer(self, images_NHW: NDArray[np.uint8]) -> CandidateAnswers:
        """Answer images of the model's own shape.

        Args:
            images_NHW: uint8 `[N, H, W]` or `[N, H, W, 3]`, at least one.

        Raises:
            ModelError: a probability is not finite or a label is outside the classes; the first image is named.
        """
        # In pieces: a whole test set at once would take the first layer's maps of all of it.
        parts = [self._answer(piece) for piece in split_images(images_NHW, pixels=PIECE_PIXELS // self.views)]
        answers = CandidateAnswers(
            np.concatenate([part.probabilities for part in parts]), np.concatenate([part.labels for part in parts])
        )
        bad = ~np.isfinite(answers.probabilities).all(axis=1)
        bad |= (answers.labels < 0) | (answers.labels >= len(self.classes))
        if bad.any():
            index = int(bad.argmax())
            raise ModelError(
                f"{self.name} answers image {index} with label {answers.labels[index]} and probabilities "
                f"{answers.probabilities[index].tolist()}; expected finite ones and a label of 0 to "
                f"{len(self.classes) - 1}"
            )
        return answers


class RunCandidate(Candidate):
    """A run's network in PyTorch, float32 on the CPU.

    Args:
        path: a run folder, or one of its checkpoints as `folder@12`.

    Raises:
        ModelError: the run or its checkpoint cannot be used.
    """

    kind: ClassVar[str] = "run"

    def __init__(self, path: Path) -> None:
        from toolkit.network.cnn import ContractNetwork
        from toolkit.runs.checkpoint import read_checkpoint

        run = read_run(path)
        checkpoint = run.checkpoint_path
        self.name = path.name
        self.identity = {"run": str(run.path), "checkpoint": checkpoint.name}
        self.classes, self.input, self.data = run.classes, InputSpec(**run.input), run.data
        network = read_checkpoint(checkpoint).network
        if tuple(network.mean.shape) != self.input.shape or network.config.classes != len(self.classes):
            raise ModelError(
                f"{checkpoint} takes images of {list(network.mean.shape)} in {network.config.classes} classes; "
                f"config.json of the run says {list(self.input.shape)} in {len(self.classes)}"
            )
        self.views = network.config.views
        self._module = ContractNetwork(network).eval()

    def _answer(self, images_NHW: NDArray[np.uint8]) -> CandidateAnswers:
        import torch

        # A view into an IDX file is read-only, which torch warns about.
        writable = np.require(images_NHW, requirements=["C", "W"])
        with torch.inference_mode():
            _, probabilities, labels = self._module(torch.from_numpy(writable))
        return CandidateAnswers(probabilities.numpy(), labels.numpy())


class ModelCandidate(Candidate):
    """A model file that meets the contract, in a runtime's own process; its own output `label` counts.

    Args:
        source: the file.
        settings: runtime, provider, threads.

    Raises:
        ModelError: the file cannot be used.
        ProviderError: the provider asked for is not active.
    """

    kind: ClassVar[str] = "model"

    def __init__(self, source: ModelSource, settings: RuntimeSettings) -> None:
        from toolkit.runtimes.contract import require_contract
        from toolkit.runtimes.workers.client import open_worker

        self._runtime = open_worker(source, settings)
        try:
            card = require_contract(self._runtime.info, name=source.path.name)
        except BaseException:
            self._runtime.close()
            raise
        self.name = source.path.stem
        self.identity = {
            "model": {"path": str(source.path), "sha256": source.sha256},
            "provider": self._runtime.info.provider_active,
        }
        self.classes, self.input, self.data = card.classes, card.input, card.data
        self.checkpoint_sha256 = card.checkpoint_sha256

    def _answer(self, images_NHW: NDArray[np.uint8]) -> CandidateAnswers:
        outputs = self._runtime.run({"images": images_NHW})
        return CandidateAnswers(outputs["probabilities"], outputs["label"])

    def close(self) -> None:
        """End the worker."""
        self._runtime.close()


def open_candidate(path: Path, *, provider: str = "cpu") -> Candidate:
    """Open an `.onnx` file, a run folder, or another of its checkpoints as `folder@12`.

    Raises:
        ModelError: it cannot be used.
        ProviderError: the provider asked for is not active.
    """
    if path.suffix.lower() == ".onnx":
        from toolkit.onnx_file.source import ModelSource
        from toolkit.runtimes.base import RuntimeSettings

        return ModelCandidate(ModelSource.read(path), RuntimeSettings(provider=provider))
    return RunCandidate(path)
