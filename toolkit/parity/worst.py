"""The worst sample of a row: what a person looks at first, and what can be run again."""

from __future__ import annotations

__all__ = ["WorstSample", "find_worst", "share_of_bound"]

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.trial import Expectation, Outcome
from toolkit.runtimes.base import RuntimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstSample:
    """One item of a suite, with the whole call in which it was seen: an error may depend on its neighbours.

    Attributes:
        settings: how the engine was opened.
        suite: the suite's name.
        batch: the batch size.
        index: its place in what was judged of the suite.
        position: its place in the call.
        error: its error; None where values could not be compared.
        expected: the known answers of the call.
        failures: what did not hold.
    """

    settings: RuntimeSettings
    suite: str
    batch: int
    index: int
    position: int
    error: float | None
    expected: Expectation
    failures: tuple[str, ...] = ()

    @property
    def failed_output(self) -> str:
        """The output that the first failure names, else the first one."""
        names = self.expected.output_names
        words = re.findall(r"[`']([^`']+)[`']", self.failures[0] if self.failures else "")
        return next((word for word in words if word in names), names[0])

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """The image, uint8 `[H, W]` or `[H, W, 3]`; None in a stranger's file."""
        return self.expected.image(self.position)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without the answers."""
        return {"suite": self.suite, "batch": self.batch, "index": self.index, "error": self.error}


def find_worst(outcomes: Sequence[Outcome], settings: RuntimeSettings) -> WorstSample:
    """Return the worst sample of the first trial that failed, else of the one that came nearest to its bound."""
    failed = [outcome for outcome in outcomes if not outcome.judgement]
    outcome = failed[0] if failed else max(outcomes, key=share_of_bound)
    trial, judgement = outcome.trial, outcome.judgement
    index = judgement.worst_index or 0
    start, expected = trial.expected.around(index, trial.batch)
    return WorstSample(
        settings=settings,
        suite=trial.suite,
        batch=trial.batch,
        index=index,
        position=index - start,
        error=judgement.max_abs_logit_error,
        expected=expected,
        failures=judgement.failures,
    )


def share_of_bound(outcome: Outcome) -> float:
    """Return the error as a share of the bound; infinite where values could not be compared."""
    error = outcome.judgement.max_abs_logit_error
    if not error:
        return float("inf") if error is None else 0.0
    return error / outcome.judgement.bound
