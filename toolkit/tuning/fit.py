"""One training in memory, judged once at its end: what searches and learning curves are made of."""

from __future__ import annotations

__all__ = ["FitResult", "fit"]

import time
from dataclasses import dataclass

from toolkit.data.dataset import Split
from toolkit.training.process import StopRequest
from toolkit.training.recipe import Recipe
from toolkit.training.session import Machine, make_session, to_device
from toolkit.training.steps.epoch import AfterStep, count_right, predict_logits


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """How a training ended.

    Attributes:
        correct: validation images labelled right after the last epoch.
        count: validation images.
        train_loss: mean loss over the last epoch's images, while training.
        train_correct: training images labelled right after the last epoch, as they are: without dropout and
            augmentation; None where they were not judged.
        train_count: training images.
        epochs: passes over the training images.
        steps: optimizer steps.
        seconds: wall time, judging included.
    """

    correct: int
    count: int
    train_loss: float
    train_correct: int | None
    train_count: int
    epochs: int
    steps: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of the validation images labelled right."""
        return self.correct / self.count


def fit(
    training: Split,
    validation: Split,
    *,
    recipe: Recipe,
    seed: int,
    machine: Machine,
    stop: StopRequest,
    judges_training: bool = False,
    after_step: AfterStep | None = None,
) -> FitResult:
    """Train a fresh network and judge it; nothing is written.

    Args:
        training: images to learn from, which alone settle the standardisation.
        validation: images to judge by, only after the last epoch.
        recipe: as resolved for the data.
        seed: of the weights, the shuffling, the augmentation and the dropout.
        machine: where to compute.
        stop: set by a signal.
        judges_training: whether the training images are judged too.
        after_step: called with the steps done and those of all epochs.

    Raises:
        StoppedError: a signal asked for it.
        CheckFailedError: the loss or a gradient is not finite.
        DataError: every training pixel has the same value.
    """
    start = time.perf_counter()
    session = make_session(training, None, recipe=recipe, seed=seed, machine=machine, stop=stop)

    def after_own_step(step: int, steps: int) -> None:
        if after_step is not None:
            after_step(session.state.position.epoch * steps + step, session.epochs * steps)

    rows = [session.run_epoch(after_own_step) for _ in range(session.epochs)]
    judged = session.state.judged
    held_out, labels = to_device(validation, machine.device)
    own = predict_logits(judged, session.images, places=session.places) if judges_training else None
    return FitResult(
        correct=count_right(predict_logits(judged, held_out), labels),
        count=len(validation),
        train_loss=rows[-1].train_loss,
        train_correct=None if own is None else count_right(own, session.labels),
        train_count=len(training),
        epochs=len(rows),
        steps=session.state.position.updates,
        seconds=time.perf_counter() - start,
    )
