"""Trials of a search: one point of the space, trained and judged once a fold."""

from __future__ import annotations

__all__ = ["TrialRow", "rank_trials"]

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.intervals import spread
from toolkit.tuning.fit import FitResult
from toolkit.tuning.search_space import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial.

    Attributes:
        number: in the study, from 0.
        state: `done`, or `failed`, with its reason.
        point: the varied fields and their values.
        folds: how each fold's training ended.
        reason: why it failed.
        repeats: number of an earlier trial of the same point, whose results stand here too; None where it was trained.
    """

    number: int
    state: str
    point: Mapping[str, Value]
    folds: tuple[FitResult, ...] = ()
    reason: str = ""
    repeats: int | None = None

    @property
    def accuracy(self) -> float:
        """Mean over the folds of the validation accuracy after the last epoch."""
        return statistics.fmean(fold.accuracy for fold in self.folds)

    @property
    def standard_error(self) -> float:
        """Of that mean: from the spread over the folds, or with one fold from its number of images alone."""
        if len(self.folds) > 1:
            return spread([fold.accuracy for fold in self.folds]) / math.sqrt(len(self.folds))
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.folds[0].count)

    @property
    def seconds(self) -> float:
        """Wall time of its trainings."""
        return 0.0 if self.repeats is not None else sum(fold.seconds for fold in self.folds)

    def to_json(self) -> dict[str, Any]:
        """Return a row of the report."""
        is_done = self.state == "done"
        return {
            "number": self.number,
            "state": self.state,
            "reason": self.reason or None,
            "repeats": self.repeats,
            "values": dict(self.point),
            "accuracy": self.accuracy if is_done else None,
            "standard_error": self.standard_error if is_done else None,
            "seconds": self.seconds,
            "folds": [{**asdict(fold), "accuracy": fold.accuracy} for fold in self.folds],
        }


def rank_trials(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Return the trials that are done, best first, then those that failed; of equals the earlier comes first."""
    return sorted(rows, key=lambda row: (row.state != "done", -row.accuracy if row.folds else 0.0, row.number))
