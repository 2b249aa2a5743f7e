"""Samples in, rows out: fixed batches, bounded memory, the order kept."""

from __future__ import annotations

__all__ = ["BatchRunner", "RowMaker", "predict_batches"]

from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from toolkit.prediction.rows import Row, Sample, Status
from toolkit.runtimes.contract import check_outputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt

    from toolkit.card import Card


class BatchRunner(Protocol):
    """What is needed of a runtime."""

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """Execute the model once."""


def predict_batches(
    runner: BatchRunner, samples: Iterable[Sample], *, card: Card, batch: int, provider: str, fallback: bool = False
) -> Iterator[Row]:
    """Yield one row per sample, in the samples' order.

    At most `batch` samples are held. Every call has exactly `batch` images, padded with zeros, so that an engine that
    prepares itself for a shape does so once.

    Args:
        runner: the opened model.
        samples: images ready for the model, or reasons.
        card: the model's card.
        batch: images in one call.
        provider: the provider that is active.
        fallback: whether that is not the one asked for; marks every answered row.

    Raises:
        ModelError: the model fails, or its answers do not follow from its card.
    """
    maker = RowMaker(card, provider=provider, status="fallback" if fallback else "ok")
    images = np.zeros((batch, *card.input.shape), np.uint8)
    remaining = iter(samples)
    while chunk := list(islice(remaining, batch)):
        usable = [sample.image for sample in chunk if sample.image is not None]
        outputs: Mapping[str, npt.NDArray[Any]] = {}
        if usable:
            np.stack(usable, out=images[: len(usable)])
            images[len(usable) :] = 0
            outputs = runner.run({"images": images})
            check_outputs(outputs, card, count=batch, name=card.name)
        yield from maker.make_rows(chunk, outputs)


class RowMaker:
    """Turns a batch's outputs into rows.

    Args:
        card: names the classes.
        provider: the provider that is active.
        status: of an answered row.
    """

    def __init__(self, card: Card, *, provider: str, status: Status) -> None:
        self._card = card
        self._provider = provider
        self._status = status

    def make_rows(self, samples: Iterable[Sample], outputs: Mapping[str, npt.NDArray[Any]]) -> Iterator[Row]:
        """Yield one row per sample; the n-th sample with an image has the n-th place in the outputs."""
        place = 0
        for sample in samples:
            if sample.image is None:
                yield self._error(sample, sample.message)
                continue
            logits, probabilities = outputs["logits"][place], outputs["probabilities"][place]
            if np.isfinite(logits).all() and np.isfinite(probabilities).all():
                yield self._answer(sample, logits, probabilities, label=int(outputs["label"][place]))
            else:
                yield self._error(sample, f"{self._card.name} answered NaN or infinity for this image")
            place += 1

    def _answer(self, sample: Sample, logits: npt.NDArray[Any], probabilities: npt.NDArray[Any], *, label: int) -> Row:
        values = tuple(probabilities.tolist())
        return Row(
            source=sample.source,
            index=sample.index,
            label=self._card.classes[label],
            probability=values[label],
            margin=_margin(logits),
            provider=self._provider,
            status=self._status,
            message=sample.message,
            probabilities=values,
        )

    def _error(self, sample: Sample, reason: str) -> Row:
        return Row(source=sample.source, index=sample.index, provider=self._provider, status="error", message=reason)


def _margin(logits: npt.NDArray[Any]) -> float | None:
    if logits.size < 2:
        return None
    second, first = sorted(logits.tolist())[-2:]
    return float(first - second)
