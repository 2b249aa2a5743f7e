"""A request on its way through the batcher, and how requests become one call and its answer theirs again."""

from __future__ import annotations

__all__ = ["Arrays", "Job", "count_rows", "join_feeds", "share_out"]

from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way.

    Attributes:
        feeds: every input by name; where rows are shared, `rows` along each first axis.
        rows: how many; what the queue is bounded by.
        answer: its outputs, or the reason why there are none; cancelled by who does not wait any more.
        deadline: until when it may wait, by the batcher's clock.
        shares: whether others may be in its call.
        failures: calls that failed with it.
        queued_at: when it came.
        sent_at: when the engine was called with it.
    """

    feeds: Arrays
    rows: int
    answer: Future[Arrays]
    deadline: float
    shares: bool = True
    failures: int = 0
    queued_at: float = 0.0
    sent_at: float = 0.0

    def goes_with(self, other: Job) -> bool:
        """Tell whether both can be rows of one call: they have the same sizes but for the first."""
        return (
            self.shares
            and other.shares
            and all(array.shape[1:] == other.feeds[name].shape[1:] for name, array in self.feeds.items())
        )

    def refuse(self, reason: Exception) -> None:
        """Answer with a reason, unless nobody waits any more."""
        if not self.answer.done():
            self.answer.set_exception(reason)


def count_rows(batch: Sequence[Job]) -> int:
    """Return the rows of all together."""
    return sum(job.rows for job in batch)


def join_feeds(batch: Sequence[Job]) -> Arrays:
    """Return the inputs of one call: the rows of each, one after the other."""
    if len(batch) == 1:
        return batch[0].feeds
    return {name: np.concatenate([job.feeds[name] for job in batch]) for name in batch[0].feeds}


def share_out(batch: Sequence[Job], outputs: Arrays) -> None:
    """Give each request its own rows: they lie in the order of the requests."""
    start = 0
    for job in batch:
        if not job.answer.done():
            part = slice(start, start + job.rows)
            job.answer.set_result(
                outputs if len(batch) == 1 else {name: value[part] for name, value in outputs.items()}
            )
        start += job.rows
