"""What fields may be set to: words, or numbers between two ends; checked and told from one table."""

from __future__ import annotations

__all__ = ["SHARE", "Limits", "Range", "check_limits", "describe_limit"]

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from toolkit.errors import UsageError, suggest


class Range(NamedTuple):
    """Numbers from `least` to `most`.

    Attributes:
        least: the smallest.
        most: the largest.
        above: whether `least` itself is left out.
        below: whether `most` itself is left out.
        is_odd: whether only odd ones are meant.
    """

    least: float
    most: float = math.inf
    above: bool = False
    below: bool = False
    is_odd: bool = False

    def holds(self, value: float) -> bool:
        """Say whether a number lies in it; no NaN does."""
        over = value > self.least if self.above else value >= self.least
        under = value < self.most if self.below else value <= self.most
        return over and under and (not self.is_odd or value % 2 == 1)

    def describe(self) -> str:
        """Return it in words, as a message goes on after `expected`."""
        if self.most == math.inf:
            return f"{'an odd number of ' if self.is_odd else ''}at least {self.least:,}"
        if self.above or self.below:
            low = f"{'more than' if self.above else 'at least'} {self.least:,}"
            return f"{low} and {'less than' if self.below else 'at most'} {self.most:,}"
        return f"{self.least:,} to {self.most:,}"


# Of a whole, but never all of it.
SHARE = Range(0, 1, below=True)
Limits: TypeAlias = "dict[str, Range | tuple[str, ...]]"


def check_limits(values: Mapping[str, Any], limits: Limits) -> None:
    """Refuse the first value that is not what its field may be.

    Raises:
        UsageError: names the field, the value and what is expected.
    """
    for key, limit in limits.items():
        value = values[key]
        if not (limit.holds(value) if isinstance(limit, Range) else value in limit):
            nearest = "" if isinstance(limit, Range) else suggest(str(value), limit)
            raise UsageError(f"{key} is {value!r}{nearest}; expected {describe_limit(limit)}")


def describe_limit(limit: Range | tuple[str, ...]) -> str:
    """Return in words what a field may be."""
    return limit.describe() if isinstance(limit, Range) else " or ".join(limit)
