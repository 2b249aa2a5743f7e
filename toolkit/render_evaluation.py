"""Comparisons and corruptions as sentences and a table."""

from __future__ import annotations

__all__ = ["describe_comparison"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.evaluation.paired import PairedReport


def describe_comparison(other: AccuracyReport, paired: PairedReport, *, name: str) -> str:
    """Return the other model's accuracy, the paired difference and whether chance explains it."""
    verdict = {
        "better": "better than the other",
        "worse": "worse than the other",
        "undecided": "a difference that chance explains",
    }[paired.verdict]
    return (
        f"{name} has {other.describe()}; difference {100 * paired.difference:+.2f} points, right alone "
        f"{paired.only_first:,} against {paired.only_second:,}, exact McNemar p = {paired.p_value:.2g}: {verdict}"
    )
