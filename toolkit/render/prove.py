"""A proof on the screen: a line a step, and the verdict."""

from __future__ import annotations

__all__ = ["describe_step", "find_figures", "proof_lines"]

from collections.abc import Callable
from typing import Any

from toolkit.bench.report import BENCH_SCHEMA
from toolkit.counts import count_of
from toolkit.proving.report import ProofReport, ProofStepResult

MARKS = {"pass": "PASS", "fail": "FAIL", "not-run": "----"}


def describe_step(result: ProofStepResult) -> str:
    """Return a line: what became of it, how long it took, and what it found or why it failed."""
    took = f"{result.seconds:.0f} s" if result.seconds else ""
    said = result.reason or find_figures(result.report or {})
    return f"{MARKS[result.status]}  {result.name:<24}{took:>6}  {said}".rstrip()


def proof_lines(report: ProofReport) -> list[str]:
    """Return the verdict in a line or two."""
    failed = [step.name for step in report.steps if step.status == "fail"]
    missing = [step.name for step in report.steps if step.status == "not-run"]
    passed = sum(step.status == "pass" for step in report.steps)
    lines = [f"{report.provider}: {passed} of {count_of(len(report.steps), 'step')} passed in {report.seconds:.0f} s"]
    lines += [f"failed: {', '.join(failed)}"] if failed else []
    return lines + ([f"not run: {', '.join(missing)}"] if missing else [])


def find_figures(report: dict[str, Any]) -> str:
    """Return the few figures of a command's report that a proof is read for."""
    tell = FIGURES.get("toolkit/train" if "evaluation" in report else report.get("schema", ""))
    return tell(report) if tell else ""


def _tell_accuracy(report: dict[str, Any]) -> str:
    judged = report["evaluation"]
    return f"{judged['accuracy']:.2%} of {judged['count']:,} test images"


def _tell_export(report: dict[str, Any]) -> str:
    return f"largest logit error {report['max_abs_logit_error']:.2g}, bound {report['bound']['logits']:.2g}"


def _tell_parity(report: dict[str, Any]) -> str:
    rows = [row for row in report["rows"] if row.get("bound") and row["max_abs_logit_error"] is not None]
    worst = max((row["max_abs_logit_error"] / row["bound"] for row in rows), default=0.0)
    flips = sum(row["flips"] or 0 for row in rows)
    return f"{count_of(len(rows), 'row')}, error at most {worst:.2g} of its bound, {flips} labels changed"


def _tell_bench(report: dict[str, Any]) -> str:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in report["rows"]:
        if row.get("latency_ms"):
            groups.setdefault(f"{row['runtime']} {row['precision']}", []).append(row)
    if len(groups) == 1:
        return _tell_rows(*groups.values())
    return "; ".join(f"{name}: {_tell_rows(rows)}" for name, rows in groups.items())


def _tell_rows(rows: list[dict[str, Any]]) -> str:
    first, best = rows[0], max(rows, key=lambda row: row["throughput_items_per_s"])
    half = first["latency_ms"]["p50"]  # null where too few calls were made
    return (
        f"batch {first['batch']}: p50 {'unknown' if half is None else f'{half:.3g} ms'},"
        f" batch {best['batch']}: {best['throughput_items_per_s']:,.0f} images/s"
    )


def _tell_predictions(report: dict[str, Any]) -> str:
    return f"{report['ok']:,} of {report['count']:,} pictures, {report['images_per_s']:,.0f} a second"


def _tell_kit(report: dict[str, Any]) -> str:
    check = report["kits"][0]["check"]
    took = check["ms_per_image"]
    return f"{check['runtime']} {check['version']}" + ("" if took is None else f", {took:.2g} ms a picture")


FIGURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "toolkit/train": _tell_accuracy,
    "toolkit/export/1": _tell_export,
    "toolkit/parity/1": _tell_parity,
    BENCH_SCHEMA: _tell_bench,
    "toolkit/predictions/1": _tell_predictions,
    "toolkit/kits/1": _tell_kit,
}
