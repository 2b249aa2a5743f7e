"""One pass of an engine over one suite at one batch size: what is fed, and how the answers are judged."""

from __future__ import annotations

__all__ = ["Expectation", "Outcome", "Trial", "image_trials", "make_trial", "run_trials"]

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError, WorkerError, WrongAnswerError
from toolkit.parity.config import WHOLE_BATCH, ParityConfig
from toolkit.parity.references.feeds import FeedExpectation
from toolkit.parity.references.images import Reference, SuiteReference, spread_indices
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.agreement import Agreement
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.workers.client import OpenedWorker

# What is known of one suite of calls before any engine is judged: images of a model of ours, or a stranger's feeds.
Expectation = SuiteReference | FeedExpectation

# An engine below this takes more than 20 s for MNIST's 10,000 test images, a reference evaluator more than a minute.
SLOW_IMAGES_PER_S = 500.0
SLOW_SAMPLE = 1_000
# One below this takes minutes for the small batches too. Each is then run on one full batch and a rest of one image.
VERY_SLOW_IMAGES_PER_S = 50.0
RATE_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one pass asks.

    Attributes:
        batch: the batch size.
        available: items of the suite before an engine that is slow got a sample of them.
        feeds: the calls, in order.
        expected: the answers, known before.
    """

    batch: int
    available: int
    feeds: tuple[Arrays, ...]
    expected: Expectation

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.expected.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one pass showed.

    Attributes:
        trial: what was asked.
        agreement: the verdict.
    """

    trial: Trial
    agreement: Agreement


def make_trial(expected: Expectation, batch: int | None = None, *, available: int | None = None) -> Trial:
    """Return the trial of one suite.

    Args:
        expected: what is known of it.
        batch: it is cut into batches of this size; all of it in one call if left out.
        available: its items before a slow engine got a sample.
    """
    size = batch or len(expected)
    whole = len(expected) if available is None else available
    return Trial(batch=size, available=whole, feeds=expected.split(size), expected=expected)


def image_trials(engine: OpenedWorker, reference: Reference, *, config: ParityConfig) -> list[Trial]:
    """Return the trials of one engine on a model of ours: every suite whole, the first images in small batches.

    One slower than `SLOW_IMAGES_PER_S` gets a sample of the test images: it is timed here.
    """
    test = reference.suites[0]
    rate = _images_per_s(engine, test.images[:WHOLE_BATCH])
    judged = test[spread_indices(len(test.logits), SLOW_SAMPLE)] if rate < SLOW_IMAGES_PER_S else test
    trials = [make_trial(judged, WHOLE_BATCH, available=len(test.logits))]
    trials += [make_trial(entry, WHOLE_BATCH) for entry in reference.suites[1:]]
    for batch in config.small_batches:
        count = config.small_count if rate >= VERY_SLOW_IMAGES_PER_S else min(config.small_count, batch + 1)
        trials.append(make_trial(judged[:count], batch))
    return trials


def run_trials(engine: OpenedWorker, trials: Sequence[Trial], *, progress: ShowProgress = tell_nobody) -> list[Outcome]:
    """Run every trial and judge its answers; one that the engine refuses is judged as failed, and the next is tried.

    Args:
        engine: opened.
        trials: what it is asked.
        progress: called with the items answered and those of all trials: images, or what a stranger's calls hold.

    Raises:
        WorkerError: the engine died or hung; the trial is named.
    """
    outcomes: list[Outcome] = []
    done, total = 0, sum(len(trial.expected) for trial in trials)
    for trial in trials:
        tell = partial(_tell, progress, before=done, total=total)
        outcomes.append(Outcome(trial=trial, agreement=_judge(engine, trial, tell=tell)))
        done += len(trial.expected)
    return outcomes


def _tell(progress: ShowProgress, answered: int, *, before: int, total: int) -> None:
    progress(before + answered, total)


def _judge(engine: OpenedWorker, trial: Trial, *, tell: Callable[[int], None]) -> Agreement:
    answers: list[Arrays] = []
    for feed in trial.feeds:
        tell(len(answers) * trial.batch)
        try:
            answers.append(engine.run(feed))
        except ModelError as error:
            first, is_refusal = len(answers) * trial.batch, not isinstance(error, WrongAnswerError)
            bound = trial.expected.bound
            return Agreement(bound=bound, worst_index=first, is_refusal=is_refusal, failures=(str(error),))
        except WorkerError as error:
            raise WorkerError(f"{trial.suite} at batch {trial.batch}: {error}", log=error.log) from error
    agreement = trial.expected.compare(_join(answers))
    if agreement or agreement.worst_index is not None:
        return agreement
    return replace(agreement, worst_index=trial.batch * _find_odd(answers, trial))


def _join(answers: list[Arrays]) -> Arrays:
    if len(answers) == 1:
        return answers[0]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _find_odd(answers: list[Arrays], trial: Trial) -> int:
    """Return the first call that answers with another number of items than it was fed, else the first one."""
    sizes = [(len(next(iter(feed.values()), ())), answer) for feed, answer in zip(trial.feeds, answers, strict=True)]
    odd = (any(array.shape[:1] != (size,) for array in answer.values()) for size, answer in sizes)
    return next((number for number, is_odd in enumerate(odd) if is_odd), 0)


def _images_per_s(engine: OpenedWorker, images: NDArray[np.uint8]) -> float:
    try:
        engine.run({"images": images})  # some compile at the first batch
    except ModelError:
        return float("inf")  # the trial itself says what is wrong
    # The fastest of a few: a busy machine does not make an engine slow.
    times = []
    for _ in range(RATE_RUNS):
        start = time.perf_counter()
        engine.run({"images": images})
        times.append(time.perf_counter() - start)
    return len(images) / min(times)
