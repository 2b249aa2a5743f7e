"""The pictures of a prediction that are shown: those that the model is least sure of."""

from __future__ import annotations

__all__ = ["GalleryPicker", "GalleryPicture"]

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toolkit.prediction.pipeline.blocks import Answers, Block

MOST_PICTURES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """One picture as the model saw it, with its answer.

    Attributes:
        source: as in the row.
        index: as in the row.
        image: uint8 `[H, W]` or `[H, W, 3]`.
        label: the answer.
        probability: of that label, 0 to 1.
        truth: what the file's name tells; "" where it tells nothing.
    """

    source: str
    index: int
    image: npt.NDArray[np.uint8]
    label: str
    probability: float
    truth: str = ""


class GalleryPicker:
    """Keeps the least sure pictures of all that it sees, at most 100."""

    def __init__(self, most: int = MOST_PICTURES) -> None:
        self._most = most
        self._heap: list[tuple[float, int, GalleryPicture]] = []
        self._seen = 0

    def see(self, block: Block, answers: Answers) -> None:
        """Look at a block's pictures."""
        probability = answers.probability[block.places]
        order = np.argsort(probability, kind="stable")[: self._most]
        for number in order.tolist():
            value = float(probability[number])
            if np.isnan(value) or (len(self._heap) == self._most and value >= -self._heap[0][0]):
                break
            self._keep(value, _picture(block, answers, number))

    def pick(self) -> list[GalleryPicture]:
        """Return the pictures, least sure first."""
        return [picture for _, _, picture in sorted(self._heap, reverse=True)]

    def _keep(self, probability: float, picture: GalleryPicture) -> None:
        self._seen += 1
        # A heap's first is its smallest: the surest one, which is the next to go.
        entry = (-probability, -self._seen, picture)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)


def _picture(block: Block, answers: Answers, number: int) -> GalleryPicture:
    place = int(block.places[number])
    return GalleryPicture(
        source=answers.sources[place],
        index=int(answers.indices[place]),
        image=block.images[number].copy(),
        label=answers.classes[answers.labels[place]],
        probability=float(answers.probability[place]),
        truth=answers.truths[place] if answers.truths else "",
    )
