"""The quickstart's last screen."""

from __future__ import annotations

__all__ = ["quickstart_screen"]

from typing import Any

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table

MARKS = {True: "PASS", False: "FAIL"}


def quickstart_screen(result: dict[str, Any]) -> list[RenderableType]:
    """Return accuracy, verdicts, latency, where each file lies, and the commands to go on with."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    accuracy = result["accuracy"]
    low, high = accuracy["accuracy_ci95"]
    table.add_row(
        "accuracy",
        f"{accuracy['accuracy']:.2%} on {accuracy['count']:,} test images, 95 % interval {low:.2%} to {high:.2%}",
    )
    table.add_row("self-test", f"{MARKS[result['selftest']['passed']]} {result['selftest']['vectors']} golden vectors")
    table.add_row("parity", _parity_line(result["parity"]))
    for row in result["bench"]["rows"]:
        if row["status"] == "skip":
            continue
        table.add_row("latency", _latency_line(row))
    for name, path in result["files"].items():
        table.add_row(name, path)
    commands = [
        "toolkit predict DIR                 your own pictures",
        "toolkit bench --provider cuda       on a GPU; refuses to run on anything else",
        "toolkit parity --runtime all        every engine that is installed",
        "toolkit train --recipe tutorial     the tutorial's own training",
        "toolkit doctor                      what works on this machine",
    ]
    return [
        Panel(table, title="toolkit quickstart", title_align="left"),
        "go on with:",
        *(f"  {line}" for line in commands),
    ]


def _parity_line(parity: dict[str, Any]) -> str:
    worst = max((row["max_abs_logit_error"] or 0.0 for row in parity["rows"]), default=0.0)
    return (
        f"{MARKS[parity['passed']]} {len(parity['rows'])} rows against {parity['reference']}: "
        f"largest logit error {worst:.2g}, bound {parity['bound']:.2g}"
    )


def _latency_line(row: dict[str, Any]) -> str:
    if row["status"] != "pass":
        return f"batch {row['batch']}: {row['status']}, {row['reason']}"
    latency = row["latency_ms"]
    shown = ", ".join(
        f"{key} {value:.3f} ms" for key, value in latency.items() if key in {"p50", "p99"} and value is not None
    )
    steadiness = "" if row["stable"] else ", unstable"
    return (
        f"batch {row['batch']} on {row['provider_active']}: {shown}, "
        f"{row['throughput_items_per_s']:,.0f} images/s ({row['samples']:,} samples{steadiness})"
    )
