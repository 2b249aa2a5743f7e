"""What a row's time was spent on, in words with the figure behind them; which variant to use from which batch on."""

from __future__ import annotations

__all__ = ["explain_rows", "find_crossovers", "share_of_peak"]

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from toolkit.bench.measuring.machine_peak import MachinePeak
from toolkit.bench.report import BenchRow
from toolkit.counts import count_of
from toolkit.runtimes.providers import REMOTE

DECISIVE = 0.5


def explain_rows(rows: Sequence[BenchRow], peaks: Sequence[MachinePeak]) -> dict[int, str]:
    """Return a verdict by the number of its row: launch-bound, copy-bound or compute-bound, and the figure behind it.

    A call that takes a + c * batch spends a whatever its batch: where that is at least half of it, it is launch-bound.
    The line is fitted to the medians of a variant's batch sizes, each weighed by its own length: two sizes are needed.
    """
    groups: dict[_Series, list[int]] = {}
    for number, row in enumerate(rows):
        is_here = row.provider_active != REMOTE  # what a call costs on its way is not the engine's launch
        if is_here and row.status == "pass" and row.latency_ms and row.batch and row.scenario == "single-stream":
            groups.setdefault(_Series.of(row), []).append(number)
    verdicts: dict[int, str] = {}
    for numbers in groups.values():
        points = [(rows[number].batch or 1, _median(rows[number])) for number in numbers]
        fixed = _fixed_cost([(batch, median) for batch, median in points if median is not None])
        for number in numbers:
            verdicts[number] = _explain(rows[number], fixed, share=share_of_peak(rows[number], peaks))
    return {number: text for number, text in verdicts.items() if text}


def find_crossovers(rows: Sequence[BenchRow]) -> list[str]:
    """Say which variant is soonest at which batch sizes; nothing where there is only one.

    Those that compute in the same precision are compared, by p50. Where one is ahead at one size and another at the
    next, their lines, straight in logarithms, are followed to where they meet. Variants whose 95 % intervals overlap
    are not told apart: the one that was ahead before stays.
    """
    groups: dict[str, dict[_Series, dict[int, BenchRow]]] = {}
    for row in rows:
        if row.status == "pass" and row.batch and row.ci95 and "p50" in row.ci95 and row.scenario == "single-stream":
            groups.setdefault(row.precision, {}).setdefault(_Series.of(row), {})[row.batch] = row
    return [line for variants in groups.values() if len(variants) > 1 for line in _follow(variants, len(groups) > 1)]


def share_of_peak(row: BenchRow, peaks: Sequence[MachinePeak]) -> float | None:
    """Return the share of the machine's own float32 matrix product that a row reached; None where it is not known."""
    found = [peak for peak in peaks if (peak.provider, peak.threads) == (row.provider_active, row.threads)]
    if row.multiply_adds is None or row.throughput_items_per_s is None or not found or row.batch is None:
        return None
    best = found[0].matmul_gflops
    return 2 * row.multiply_adds / row.batch * row.throughput_items_per_s / 1e9 / best if best else None


class _Series(NamedTuple):
    """What rows of different batch sizes have in common."""

    runtime: str
    provider: str | None
    precision: str
    threads: int | None
    io_binding: bool

    @classmethod
    def of(cls, row: BenchRow) -> _Series:
        """Return the series that a row belongs to."""
        return cls(row.runtime, row.provider_active, row.precision, row.threads, row.io_binding)

    def name(self, others: Sequence[_Series]) -> str:
        """Return what tells it from others: runtime and provider, and what else differs among them."""
        words = [self.runtime if self.runtime == self.provider else f"{self.runtime} on {self.provider}"]
        for field, text in (
            ("threads", count_of(self.threads, "thread") if self.threads else "the engine's own threads"),
            ("io_binding", "with IO binding" if self.io_binding else "without IO binding"),
        ):
            if len({getattr(other, field) for other in others}) > 1:
                words.append(text)
        return ", ".join(words)


def _follow(variants: dict[_Series, dict[int, BenchRow]], has_others: bool) -> list[str]:
    shared = set.intersection(*({*rows} for rows in variants.values()))
    leaders: list[tuple[int, _Series]] = []
    for batch in sorted(shared):
        best = min(variants, key=lambda variant: _median(variants[variant][batch]) or math.inf)
        before = leaders[-1][1] if leaders else best
        leaders.append((batch, best if _is_sooner(variants[best][batch], variants[before][batch]) else before))
    prefix = f"{next(iter(variants)).precision}: " if has_others else ""
    steps = [(left, right) for left, right in pairwise(leaders) if left[1] != right[1]]
    if not leaders:
        return []
    names = {variant: variant.name(list(variants)) for variant in variants}
    if not steps:
        return [f"{prefix}soonest at every batch size: {names[leaders[0][1]]}"]
    lines = []
    for (below, left), (above, right) in steps:
        middle = _crossing(variants[left], variants[right], below=below, above=above)
        lines.append(
            f"{prefix}on this machine use {names[left]} below batch {middle}, {names[right]} from there on "
            f"(measured at {below} and {above})"
        )
    return lines


def _is_sooner(row: BenchRow, other: BenchRow) -> bool:
    assert row.ci95 is not None
    assert other.ci95 is not None
    return row.ci95["p50"][1] < other.ci95["p50"][0]


def _crossing(first: dict[int, BenchRow], second: dict[int, BenchRow], *, below: int, above: int) -> int:
    """Return the batch size at which two lines, straight in logarithms, meet."""
    gaps = []
    for batch in (below, above):
        one, other = _median(first[batch]), _median(second[batch])
        assert one is not None
        assert other is not None
        gaps.append(math.log(one) - math.log(other))
    # The leader changed between the two sizes, so the gap changes its sign and the lines do meet.
    share = gaps[0] / (gaps[0] - gaps[1])
    return math.ceil(math.exp(math.log(below) + share * (math.log(above) - math.log(below))))


def _fixed_cost(points: list[tuple[int, float]]) -> float | None:
    """Return a of the line a + c * batch through the medians, in milliseconds, at least 0."""
    if len({batch for batch, _ in points}) < 2:
        return None
    batches, medians = (np.array(values, np.float64) for values in zip(*points, strict=True))
    # Relative errors count: without weights the largest batch alone would lay the line.
    weights = 1 / medians
    lines = np.stack([weights, batches * weights], axis=1)
    (fixed, _), *_ = np.linalg.lstsq(lines, medians * weights, rcond=None)
    return max(float(fixed), 0.0)


def _explain(row: BenchRow, fixed_ms: float | None, *, share: float | None) -> str:
    median = _median(row)
    if median is None:
        return ""
    phases = row.phases_ms
    if phases and (copies := (phases["copy_in"] + phases["copy_out"]) / max(sum(phases.values()), 1e-12)) >= DECISIVE:
        return f"copy-bound: {copies:.0%} of a call are copies to the device and back"
    if fixed_ms is not None and fixed_ms / median >= DECISIVE:
        return f"launch-bound: {min(fixed_ms / median, 1):.0%} of a call ({fixed_ms:.3g} ms) do not grow with the batch"
    if share is not None and (fixed_ms is not None or share >= DECISIVE):
        return f"compute-bound: {share:.0%} of this machine's own float32 matrix product"
    return "" if fixed_ms is None else f"compute-bound: {1 - fixed_ms / median:.0%} of a call grow with the batch"


def _median(row: BenchRow) -> float | None:
    return (row.latency_ms or {}).get("p50")
