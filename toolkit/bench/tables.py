"""A benchmark's rows, and on request its raw samples, as CSV."""

from __future__ import annotations

__all__ = ["rows_csv", "samples_csv"]

import csv
import io
from collections.abc import Iterable
from typing import Any

from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.statistics import PERCENTILES, THROUGHPUT

IDENTITY = (
    *("scenario", "boundary", "runtime", "version", "provider_requested", "provider_active", "fallback"),
    *("precision", "batch", "threads", "io_binding"),
)
LATENCIES = ("mean", "min", "max", *PERCENTILES)
COLD = ("import_ms", "load_ms", "first_run_ms")
INTERVALS = ("p50", "p99", THROUGHPUT)


def rows_csv(report: BenchReport) -> str:
    """Return one line for each row; what was not measured is an empty cell.

    Columns: what the row is, `samples`, `mean_ms` to `p99.9_ms`, `throughput_items_per_s`, both ends of the 95 %
    intervals of p50, p99 and throughput, `stable`, `spread`, the cold times, `status`, `reason`.
    """
    names = [*IDENTITY, "samples", *(f"{name}_ms" for name in LATENCIES), THROUGHPUT]
    names += [f"{name}_{end}" for name in INTERVALS for end in ("low", "high")]
    names += ["stable", "spread", *COLD, "status", "reason"]
    return _table(names, (_cells(row) for row in report.rows))


def samples_csv(report: BenchReport) -> str:
    """Return every counted call of every measured row: `row` (its place in the report), `call`, `latency_ns`."""
    lines = (
        (number, call, value)
        for number, row in enumerate(report.rows)
        if row.samples_ns is not None
        for call, value in enumerate(row.samples_ns.tolist())
    )
    return _table(["row", "call", "latency_ns"], lines)


def _cells(row: BenchRow) -> list[Any]:
    latency, intervals, cold = row.latency_ms or {}, row.ci95 or {}, row.cold or {}
    ends = [end for name in INTERVALS for end in intervals.get(name, (None, None))]
    return [
        *(getattr(row, name) for name in IDENTITY),
        row.samples,
        *(latency.get(name) for name in LATENCIES),
        row.throughput_items_per_s,
        *ends,
        row.stable,
        row.spread,
        *(cold.get(name) for name in COLD),
        row.status,
        row.reason,
    ]


def _table(names: list[str], lines: Iterable[Iterable[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(lines)
    return stream.getvalue()
