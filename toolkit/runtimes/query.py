"""One request of many that are on their way at the same time, and when what became of it."""

from __future__ import annotations

__all__ = ["Missed", "Query", "Sender", "take_up"]

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Missed(NamedTuple):
    """Why a query has no answer.

    Attributes:
        is_refused: whether the server said that it has no room.
        words: what was said, or what happened.
    """

    is_refused: bool
    words: str


@dataclass(slots=True, eq=False)
class Query:
    """A query under way.

    Attributes:
        identifier: of whoever issued it.
        done: is told when it is over, from any thread.
        begun_ns: when it was issued; all moments are of `perf_counter_ns`.
        seen_ns: when the sender took it up: until then it waited for the client.
        sent_ns: when it was sent: until then it waited for those before it to be answered.
        ended_ns: when its answer was there.
        missed: why there is none.
    """

    identifier: int
    done: Callable[[Query], None]
    begun_ns: int = field(default_factory=time.perf_counter_ns)
    seen_ns: int = 0
    sent_ns: int = 0
    ended_ns: int = 0
    missed: Missed | None = None

    def end(self) -> None:
        """Say that its answer is there."""
        self.ended_ns = time.perf_counter_ns()
        self.done(self)

    def miss(self, missed: Missed) -> None:
        """Say that there will be none."""
        self.missed = missed
        self.end()

    @property
    def lag_ns(self) -> int:
        """How long it waited for the client itself."""
        return self.seen_ns - self.begun_ns


def take_up(queries: Sequence[Query], waiting: deque[Query]) -> None:
    """Note that a sender has these queries now, and let them wait for their turn."""
    now = time.perf_counter_ns()
    for query in queries:
        query.seen_ns = now
    waiting.extend(queries)


class Sender(Protocol):
    """Begins queries without waiting for their answers."""

    def send(self, queries: Sequence[Query]) -> None:
        """Begin these queries; each is told when it is over."""

    def close(self) -> None:
        """End what is under way."""
