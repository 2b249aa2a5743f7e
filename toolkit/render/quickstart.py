"""The quickstart's last screen."""

from __future__ import annotations

__all__ = ["quickstart_screen"]

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from toolkit.counts import count_of
from toolkit.render.ending import ending_lines, list_run_files, next_steps

MARKS = {True: "PASS", False: "FAIL"}


def quickstart_screen(result: dict[str, Any]) -> list[RenderableType]:
    """Return accuracy, verdicts, latency, where each file lies, and the commands to go on with."""
    lines: list[RenderableType] = [Text("toolkit quickstart", "bold")]
    # What goes on stands under its beginning; a path is never parted.
    lines += [Padding(Text(f"{name}: {words}"), (0, 0, 0, 2), expand=False) for name, words in _facts(result)]
    run, model = Path(result["files"]["run"]), Path(result["files"]["model"])
    made = [*list_run_files(run), *(path for name, path in result["files"].items() if name != "run")]
    return [*lines, *ending_lines(made, next_steps(run, model, is_exported=True))]


def _facts(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    accuracy = result["accuracy"]
    low, high = accuracy["accuracy_ci95"]
    images = count_of(accuracy["count"], "test image")
    yield "accuracy", f"{accuracy['accuracy']:.2%} on {images}, 95 % interval {low:.2%} to {high:.2%}"
    vectors = count_of(result["selftest"]["vectors"], "golden vector")
    yield "self-test", f"{MARKS[result['selftest']['passed']]} {vectors}"
    yield "parity", _parity_line(result["parity"])
    for row in result["bench"]["rows"]:
        if row["status"] != "skip":
            yield "latency", _latency_line(row)


def _parity_line(parity: dict[str, Any]) -> str:
    worst = max((row["max_abs_logit_error"] or 0.0 for row in parity["rows"]), default=0.0)
    rows = count_of(len(parity["rows"]), "row")
    return (
        f"{MARKS[parity['passed']]} {rows} against {parity['reference']}: "
        f"largest logit error {worst:.2g}, bound {parity['bound']:.2g}"
    )


def _latency_line(row: dict[str, Any]) -> str:
    if row["status"] != "pass":
        return f"batch {row['batch']}: {row['status']}, {row['reason']}"
    latency = row["latency_ms"]
    shown = ", ".join(
        f"{key} {value:.3f} ms" for key, value in latency.items() if key in {"p50", "p99"} and value is not None
    )
    steadiness = "" if row["stable"] else ", not steady"
    return (
        f"batch {row['batch']} on {row['provider_active']}: {shown}, "
        f"{row['throughput_items_per_s']:,.0f} images/s ({count_of(row['samples'], 'call')}{steadiness})"
    )
