"""A block's pictures through the model: batches of one size, answers as columns."""

from __future__ import annotations

__all__ = ["BatchRunner", "Predictor"]

import contextlib
import threading
from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from toolkit.card import Card
from toolkit.imaging.guard import Guard, measure_margins
from toolkit.imaging.settings import find_doubts
from toolkit.prediction.open_model import OpenedModel
from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block, Status
from toolkit.runtimes.contract import check_outputs

Outputs = Mapping[str, npt.NDArray[Any]]


class BatchRunner(Protocol):
    """What is needed of a runtime."""

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """Execute the model once."""


class Predictor:
    """Answers blocks; every call of the runtime has `batch` images at most, and where it pads, exactly.

    Args:
        runner: the opened model.
        card: the model's card.
        batch: images in one call.
        provider: the provider that is active.
        fallback: whether that is not the one asked for; marks every answered row.
        pads: fill the last call of a block with zeros, because a device compiles or tunes every new shape.
        reentrant: whether the runner may be called from several threads at a time; else they take turns.
    """

    def __init__(
        self,
        runner: BatchRunner,
        card: Card,
        *,
        batch: int,
        provider: str,
        fallback: bool = False,
        pads: bool = True,
        reentrant: bool = False,
    ) -> None:
        self._runner = runner
        self._turn = contextlib.nullcontext() if reentrant else threading.Lock()
        self._card = card
        self._batch = batch
        self._pads = pads
        self._provider = provider
        self._guard = Guard.from_card(card.guard, classes=len(card.classes))
        self._status: Status = "fallback" if fallback else "ok"

    @classmethod
    def of_model(cls, opened: OpenedModel, *, batch: int, **how: bool) -> Self:
        """Return the engine of a model that is open; `how` is `pads` and `reentrant`."""
        provider, fallback = opened.info.provider_active, opened.info.fallback
        return cls(opened.runtime, opened.card, batch=batch, provider=provider, fallback=fallback, **how)

    def answer(self, block: Block) -> AnsweredBlock:
        """Run the block's pictures.

        Raises:
            ModelError: the model fails, or its answers do not follow from its card.
        """
        outputs = self._run(block.images)
        count, classes = block.num_rows, len(self._card.classes)
        labels = np.full(count, -1, np.int64)
        probability = np.full(count, np.nan, np.float32)
        probabilities = np.full((count, classes), np.nan, np.float32)
        margin = np.full(count, np.nan)
        is_finite = _finite_rows(outputs)
        places, chosen = block.places[is_finite], outputs["label"][is_finite]
        labels[places] = chosen
        probabilities[places] = outputs["probabilities"][is_finite]
        probability[places] = probabilities[places, chosen]
        margin[places] = measure_margins(outputs["logits"][is_finite])
        messages = self._messages(block, is_finite, doubts=self._doubts(block, outputs["logits"], is_finite=is_finite))
        return AnsweredBlock(
            sources=block.sources,
            indices=block.indices,
            labels=labels,
            probability=probability,
            margin=margin,
            doubtful=_find_doubtful(messages, labels),
            probabilities=probabilities,
            messages=messages,
            classes=self._card.classes,
            provider=self._provider,
            status=self._status,
        )

    def _run(self, images: npt.NDArray[np.uint8]) -> Outputs:
        """Return the three outputs for all images; empty arrays where there are none."""
        classes, parts = len(self._card.classes), []
        for start in range(0, len(images), self._batch):
            part = images[start : start + self._batch]
            feed = _padded(part, self._batch) if self._pads and len(part) < self._batch else part
            # Padding is answered too and dropped: its logits cost less than another shape would.
            with self._turn:
                outputs = self._runner.run({"images": feed})
            check_outputs(outputs, self._card, count=len(feed), name=self._card.name)
            parts.append({name: value[: len(part)] for name, value in outputs.items()})
        if len(parts) == 1:
            return parts[0]
        empty = {
            "logits": np.empty((0, classes), np.float32),
            "probabilities": np.empty((0, classes), np.float32),
            "label": np.empty(0, np.int64),
        }
        return {name: np.concatenate([value, *(part[name] for part in parts)]) for name, value in empty.items()}

    def _doubts(self, block: Block, logits: npt.NDArray[Any], *, is_finite: npt.NDArray[np.bool_]) -> dict[int, str]:
        """Return by row why its answer is to be doubted."""
        if self._guard is None or not is_finite.any():
            return {}
        places = block.places[is_finite]
        images = block.images if is_finite.all() else block.images[is_finite]
        judged = self._guard.judge(images, logits[is_finite])
        return {int(places[number]): text for number, text in judged.items()}

    def _messages(self, block: Block, is_finite: npt.NDArray[np.bool_], *, doubts: Mapping[int, str]) -> dict[int, str]:
        messages = dict(block.messages)  # the block is the caller's
        for place, doubt in doubts.items():
            messages[place] = f"{messages[place]}; {doubt}" if place in messages else doubt
        for place in block.places[~is_finite].tolist():
            messages[place] = f"{self._card.name} answered NaN or infinity for this image"
        return messages


def _find_doubtful(messages: Mapping[int, str], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell by row whether its answer is to be doubted: for how it was prepared, or by the guard."""
    doubtful = np.zeros(len(labels), bool)
    doubtful[[row for row, text in messages.items() if labels[row] >= 0 and find_doubts(text)]] = True
    return doubtful


def _finite_rows(outputs: Outputs) -> npt.NDArray[np.bool_]:
    # A sum is finite where all its terms are: float32 numbers cannot leave the range of float64.
    sums = outputs["logits"].sum(axis=1, dtype=np.float64) + outputs["probabilities"].sum(axis=1, dtype=np.float64)
    return np.asarray(np.isfinite(sums))


def _padded(images: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    padded = np.zeros((count, *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    return padded
