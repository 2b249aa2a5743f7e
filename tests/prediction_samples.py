"""Answers and items for tests of prediction, without a model."""

from __future__ import annotations

import numpy as np

from toolkit.card import InputSpec
from toolkit.prediction.pipeline.blocks import AnsweredBlock
from toolkit.prediction.sources.items import ArrayItem, ImageItem

SPEC = InputSpec(height=8, width=8, channels=1)
CLASSES = ("top", "mid,dle", "bottom")


def answers_of(
    labels: list[int],
    *,
    source: str = "x.npy",
    start: int = 0,
    messages: dict[int, str] | None = None,
    truths: list[str] | None = None,
    doubtful: list[bool] | None = None,
) -> AnsweredBlock:
    """Rows with these class numbers, -1 for an error; probabilities 0.5, 0.25, 0.25."""
    count = len(labels)
    probabilities = np.full((count, len(CLASSES)), 0.25, np.float32)
    for row, label in enumerate(labels):
        if label < 0:
            probabilities[row] = np.nan
        else:
            probabilities[row, label] = 0.5
    return AnsweredBlock(
        sources=[source] * count,
        indices=np.arange(start, start + count),
        labels=np.array(labels, np.int64),
        probability=np.where(np.array(labels) < 0, np.nan, np.float32(0.5)).astype(np.float32),
        margin=np.where(np.array(labels) < 0, np.nan, 1.25),
        doubtful=np.array(doubtful or [False] * count, bool),
        probabilities=probabilities,
        messages=messages or {row: "broken" for row, label in enumerate(labels) if label < 0},
        classes=CLASSES,
        provider="cpu",
        status="ok",
        truths=truths or (),
    )


def array_item(count: int, *, source: str = "a.npy", start: int = 0) -> ArrayItem:
    """Pictures whose first pixel is their index."""
    images = np.zeros((count, 8, 8), np.uint8)
    images[:, 0, 0] = np.arange(start, start + count) % 256
    return ArrayItem(source, start, images)


def image_item(name: str, content: str | bytes | None = b"") -> ImageItem:
    return ImageItem(name, 0, content, "" if content is not None else "broken")
