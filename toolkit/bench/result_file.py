"""A benchmark's result as it lies in a file, read back and held against what a comparison looks at."""

from __future__ import annotations

__all__ = ["IDENTITY", "model_name", "read_result"]

import math
from pathlib import Path
from typing import Any

from toolkit.bench.report import BENCH_SCHEMA
from toolkit.durable import read_json
from toolkit.errors import DataError

# What makes two rows the same row.
IDENTITY = ("runtime", "provider_active", "precision", "batch", "threads", "scenario", "boundary", "io_binding")


def model_name(result: dict[str, Any]) -> str:
    """Return the file name of the model that a result is about, whichever system wrote its path."""
    return str(result["model"]["path"]).replace("\\", "/").rpartition("/")[2]


def read_result(path: Path) -> dict[str, Any]:
    """Read what `toolkit bench` wrote.

    Raises:
        DataError: it cannot be read or is of another schema.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != BENCH_SCHEMA:
        raise DataError(f"{path} is no benchmark result; expected schema {BENCH_SCHEMA!r}")
    rows = value.get("rows")
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise DataError(f"{path} holds rows that are none of toolkit bench's; measure again with: toolkit bench")
    return value


def _is_row(row: Any) -> bool:
    """Tell whether a row has what a comparison looks at, each of its kind."""
    if not isinstance(row, dict) or not {*IDENTITY, "status"} <= {*row}:
        return False
    named = [row.get(name) for name in (*IDENTITY, "provider_requested", "status")]
    if not all(value is None or isinstance(value, str | int | bool) for value in named):
        return False
    tables = [row.get(name) for name in ("latency_ms", "ci95", "settings")]
    if not all(table is None or isinstance(table, dict) for table in tables):
        return False
    latency, ends = (table or {} for table in tables[:2])
    figures = [*latency.values(), row.get("throughput_items_per_s")]
    pairs = [pair for pair in ends.values() if pair is not None]
    return all(figure is None or _is_figure(figure) for figure in figures) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_figure, pair)) for pair in pairs
    )


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
