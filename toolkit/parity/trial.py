"""One pass of an engine over one suite at one batch size: what is fed, and how the answers are judged."""

from __future__ import annotations

__all__ = ["Engine", "Outcome", "Trial", "run_trials"]

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.judgement import Judgement
from toolkit.parity.reference import Expected
from toolkit.runtimes.base import Arrays


class Engine(Protocol):
    """Anything that runs feeds."""

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Return every output by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one pass asks.

    Attributes:
        suite: the suite's name.
        batch: the batch size.
        available: items of the suite before an engine that is slow got a sample of them.
        feeds: the calls, in order.
        expected: the answers, known before.
        judge: compares the outputs of all calls, joined along the first axis.
    """

    suite: str
    batch: int
    available: int
    feeds: tuple[Arrays, ...]
    expected: Expected
    judge: Callable[[Arrays], Judgement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one pass showed.

    Attributes:
        trial: what was asked.
        judgement: the verdict.
    """

    trial: Trial
    judgement: Judgement


def run_trials(engine: Engine, trials: Iterable[Trial]) -> list[Outcome]:
    """Run every trial and judge its answers."""
    return [Outcome(trial=trial, judgement=trial.judge(_answer(engine, trial.feeds))) for trial in trials]


def _answer(engine: Engine, feeds: tuple[Arrays, ...]) -> dict[str, NDArray[Any]]:
    answers = [engine.run(feed) for feed in feeds]
    if len(answers) == 1:
        return answers[0]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
