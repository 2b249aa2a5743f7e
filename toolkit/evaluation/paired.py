"""Two models on the same images: is one better by more than chance?

Shapes: N images.
"""

from __future__ import annotations

__all__ = ["PairedReport", "compare_paired", "judge_difference", "mcnemar_p"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError
from toolkit.intervals import paired_interval

SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedReport:
    """How two models differ, image by image.

    Attributes:
        count: images.
        only_first: images that only the first model labels right.
        only_second: images that only the second one labels right.
    """

    count: int
    only_first: int
    only_second: int

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference (Tango 1998)."""
        return paired_interval(self.only_first, self.only_second, count=self.count)

    @property
    def p_value(self) -> float:
        """Probability of a difference at least as large where both are equally good."""
        return mcnemar_p(self.only_first, self.only_second)

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `undecided`: the first model's standing."""
        return judge_difference(self.difference, self.p_value)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "only_this": self.only_first,
            "only_against": self.only_second,
            "difference": self.difference,
            "p_value": self.p_value,
            "verdict": self.verdict,
        }


def compare_paired(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> PairedReport:
    """Compare two models by which of the same images each labels right.

    Args:
        first_right: bool `[N]`.
        second_right: bool `[N]`.

    Raises:
        DataError: the counts differ or there are no images.
    """
    if first_right.shape != second_right.shape or not len(first_right):
        raise DataError(f"{len(first_right)} answers against {len(second_right)}; expected as many, at least one")
    return PairedReport(
        count=len(first_right),
        only_first=int((first_right & ~second_right).sum()),
        only_second=int((second_right & ~first_right).sum()),
    )


def judge_difference(difference: float, p_value: float) -> str:
    """Return `better` or `worse` where p < 0.05, as the difference's sign says, else `undecided`."""
    if p_value >= SIGNIFICANCE:
        return "undecided"
    return "better" if difference > 0 else "worse"


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (McNemar 1947, Psychometrika 12:153).

    Where both models are equally good, an image that only one of them labels right is the first one's or the second
    one's with probability 1/2 each: a binomial test, in whole numbers, so that nothing is rounded before the end.
    """
    discordant = only_first + only_second
    term = tail = 1
    for drawn in range(1, min(only_first, only_second) + 1):
        term = term * (discordant - drawn + 1) // drawn
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))
