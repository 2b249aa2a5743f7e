"""What is counted of the rows on their way to the sink."""

from __future__ import annotations

__all__ = ["PREVIEW_ROWS", "Tally", "tell_truth"]

import unicodedata
from collections.abc import Sequence

import numpy as np

from toolkit.prediction.pipeline.blocks import Answers, Row
from toolkit.prediction.sinks.unfinished import Progress

PREVIEW_ROWS = 20


class Tally:
    """Counts rows and keeps the first ones.

    Args:
        done: rows of an earlier run.
    """

    def __init__(self, done: Progress) -> None:
        self.progress = done
        self.preview: list[Row] = []
        self.first_error = ""

    def count(self, answers: Answers) -> None:
        """Count rows."""
        done, errors = self.progress, answers.num_errors
        truths, right = _score(answers)
        self.progress = Progress(
            rows=done.rows + answers.num_rows,
            errors=done.errors + errors,
            doubtful=done.doubtful + answers.num_doubtful,
            truths=done.truths + truths,
            right=done.right + right,
            last=(answers.sources[-1], int(answers.indices[-1])) if answers.num_rows else done.last,
        )
        self.preview += answers.rows(PREVIEW_ROWS - len(self.preview))
        if errors and not self.first_error:
            self.first_error = answers.messages.get(int(np.flatnonzero(answers.labels < 0)[0]), "")


def _score(answers: Answers) -> tuple[int, int]:
    """Return how many rows have a true label, and how many of those are answered with it."""
    numbers = {name: number for number, name in enumerate(answers.classes)}
    told = np.array([numbers.get(truth, -2) for truth in answers.truths], np.int64)
    return int((told >= 0).sum()), int((told == answers.labels[: len(told)]).sum())


def tell_truth(source: str, classes: Sequence[str]) -> str:
    """Return the class that a file's name begins with, the longest one where several fit, or "" where none does.

    For digits that is the first character: `7-second-try.png` is a 7, as in the tutorial's folder of own handwriting.
    """
    name = unicodedata.normalize("NFC", source.replace("!", "/").replace("\\", "/").rsplit("/", 1)[-1])
    fitting = [label for label in classes if label and name.startswith(label)]
    return max(fitting, key=len, default="")
