"""What counts as a regression: `p99>+5%`, `throughput<-3%`."""

from __future__ import annotations

__all__ = ["METRICS", "Condition", "parse_condition"]

import re
from dataclasses import dataclass

from toolkit.bench.statistics import PERCENTILES
from toolkit.errors import UsageError, require_known

METRICS = (*PERCENTILES, "throughput")
PATTERN = re.compile(r"\s*([a-z0-9.]+)\s*([<>])\s*([+-]\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A change that is too much.

    Attributes:
        text: as given.
        metric: `p50` to `p99.9`, or `throughput`.
        is_rise: whether more than that is too much, else less.
        change: a share: 0.05 for +5 %.
    """

    text: str
    metric: str
    is_rise: bool
    change: float

    def judge(self, low: float, high: float) -> bool | None:
        """Tell whether a ratio new / old, known to lie between two values, is too much; None where that is open."""
        limit = 1 + self.change
        if self.is_rise:
            return True if low > limit else False if high <= limit else None
        return True if high < limit else False if low >= limit else None


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it is none, or of a metric that nobody knows.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise UsageError(f"cannot read the condition {text!r}; expected one like 'p99>+5%' or 'throughput<-3%'")
    metric, sign, percent = match.groups()
    require_known(metric, METRICS, what="metric")
    change = float(percent) / 100
    if (sign == ">") != (change >= 0) or change <= -1:
        raise UsageError(f"the condition {text!r} is true of no change at all; a rise is >+5%, a fall <-3%")
    return Condition(text=text.strip(), metric=metric, is_rise=sign == ">", change=change)
