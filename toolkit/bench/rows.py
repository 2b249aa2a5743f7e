"""From what was measured to a row of the report; rows, and on request the raw samples, as CSV."""

from __future__ import annotations

__all__ = ["make_row", "rows_csv", "samples_csv"]

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from toolkit.bench.arrivals import ArrivalFacts, tell_arrivals
from toolkit.bench.measuring.interleaving import STABLE_SPREAD, MeasuredRow, pool_windows, window_spread
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.statistics import PERCENTILES, THROUGHPUT, bootstrap_intervals, summarise
from toolkit.plain import to_plain
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings
from toolkit.runtimes.providers import CUDA_PROVIDERS, DeviceOptions
from toolkit.runtimes.timing.plan import MeasurePlan, Window

# What a cumulative distribution is drawn from; p99.9 is the last that can be read off a picture.
QUANTILES = (*(number / 100 for number in range(100)), 0.995, 0.999, 1.0)
COLUMNS = (
    *("scenario", "boundary", "runtime", "version", "provider_requested", "provider_active", "fallback"),
    *("precision", "batch", "threads", "io_binding"),
)
LATENCIES = ("mean", "min", "max", *PERCENTILES)
COLD = ("import_ms", "load_ms", "first_run_ms")
INTERVALS = ("p50", "p99", THROUGHPUT)


def make_row(done: MeasuredRow, plan: MeasurePlan) -> BenchRow:
    """Return the row of the report for one that was measured.

    Args:
        done: what became of it.
        plan: of the whole row.
    """
    worker = done.row.worker
    known: dict[str, Any] = {
        "runtime": worker.settings.runtime,
        "provider_requested": worker.settings.provider,
        "precision": worker.probe.precision,
        "batch": done.row.batch,
        "threads": worker.settings.threads,
        "scenario": plan.scenario,
        "boundary": plan.boundary,
        "io_binding": worker.settings.io_binding,
    }
    info = done.info or worker.probe.info
    known["version"] = info.version if info else None
    if done.error is not None or info is None or not done.windows:
        log = "" if done.error is None else done.error.log
        return BenchRow(**known, status="fail", reason=str(done.error), log=log)
    told = tell_arrivals(done.windows, plan, batch=done.row.batch)
    problem = told.problem or _explain_overload(done.windows, plan)
    cold = {**done.cold, "first_run_ms": done.windows[0].first_run_ns / 1e6}
    return BenchRow(
        **known,
        **_figures(told, plan, batch=done.row.batch),
        provider_active=info.provider_active,
        fallback=info.fallback,
        device=info.device,
        settings={
            "feeds": done.feeds,
            "plan": to_plain(plan),
            "first_in_process": done.is_first,
            "file": worker.probe.source.path.name if worker.probe.source else None,
            **_engine_settings(worker.settings, info),
        },
        cold=cold,
        status="fail" if problem else "pass",
        reason=problem or str(info.details.get("fallback_reason", "")),
        notes=tuple(dict.fromkeys([*_untested(worker.settings, info), *_passed_over(done.windows), *told.notes])),
    )


def rows_csv(report: BenchReport) -> str:
    """Return one line for each row; what was not measured is an empty cell.

    Columns: what the row is, `samples`, `mean_ms` to `p99.9_ms`, `throughput_items_per_s`, both ends of the 95 %
    intervals of p50, p99 and throughput, `stable`, `spread`, the cold times, `status`, `reason`.
    """
    names = [*COLUMNS, "samples", *(f"{name}_ms" for name in LATENCIES), THROUGHPUT]
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


def _untested(settings: RuntimeSettings, info: RuntimeInfo) -> list[str]:
    """Say which of a row's settings no GPU has run before this one."""
    has_options = info.provider_active == "cuda" and settings.device != DeviceOptions()
    what = "these device options" if has_options else "TensorRT" if info.provider_active == "tensorrt" else ""
    return [f"untested: this toolkit has run {what} on no GPU yet; hold its answers against the CPU's"] if what else []


def _passed_over(windows: Sequence[Window]) -> list[str]:
    return [note for window in windows for note in window.facts.get("notes", ())]


def _figures(told: ArrivalFacts, plan: MeasurePlan, *, batch: int) -> dict[str, Any]:
    if not any(window.samples_ns.size for window in told.windows):
        return told.fields
    measured = _measured(told.windows, plan, batch=batch)
    if plan.scenario == "capacity":
        del measured["ci95"][THROUGHPUT]  # of the arrivals, which says nothing of the server
        measured["ci95"] |= {} if told.interval is None else {THROUGHPUT: told.interval}
    return measured | told.fields


def _measured(windows: Sequence[Window], plan: MeasurePlan, *, batch: int) -> dict[str, Any]:
    samples, gaps = pool_windows(windows)
    items = batch * (plan.streams if plan.scenario == "multi-stream" else 1)
    statistics = summarise(samples, items=items, gaps_ns=gaps)
    spread = window_spread(windows, plan.scenario)
    facts = [window.facts for window in windows]
    return {
        "samples": statistics.samples,
        "latency_ms": statistics.latency_json(),
        "latency_missing": statistics.missing,
        "throughput_items_per_s": statistics.throughput_items_per_s,
        "ci95": bootstrap_intervals(samples, items=items, gaps_ns=gaps),
        "samples_ns": samples,
        "quantiles_ms": [float(value) / 1e6 for value in np.quantile(samples, QUANTILES, method="inverted_cdf")],
        "windows": [_describe(window, items) for window in windows],
        "stable": None if spread is None else spread <= STABLE_SPREAD,
        "spread": spread,
        "machine": _machine(facts),
        "memory": {name: _most(facts, name) for name in ("host_peak_bytes", "gpu_used_bytes")},
        "energy_j_per_item": _energy(facts, items * statistics.samples),
        "multiply_adds": next((fact["multiply_adds"] for fact in facts if fact.get("multiply_adds")), None),
        "uncounted": next((fact["uncounted"] for fact in facts if fact.get("uncounted")), ""),
        "phases_ms": next((fact["phases_ms"] for fact in facts if fact.get("phases_ms")), None),
    }


def _describe(window: Window, items: int) -> dict[str, float]:
    summary = summarise(window.samples_ns, items=items, gaps_ns=window.gaps_ns)
    return {
        "calls": summary.samples,
        "median_ms": float(np.median(window.samples_ns)) / 1e6,
        "throughput_items_per_s": summary.throughput_items_per_s,
    }


def _machine(facts: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return who had the processors while the row was measured, as shares of all of them, and what slowed them."""
    elapsed = sum(fact.get("elapsed_s", 0.0) for fact in facts)
    available = elapsed * next((fact["processors"] for fact in facts if "processors" in fact), 1)
    busy, own, steal = (_sum(facts, name) for name in ("busy_s", "own_cpu_s", "steal_s"))
    others = None if busy is None or own is None else max(busy - own, 0.0)
    shares = {"own_share": own, "others_share": others, "steal_share": steal}
    return {
        **{name: None if value is None or not available else value / available for name, value in shares.items()},
        "throttled_s": _sum(facts, "throttled_s"),
        "thermal_events": _sum(facts, "thermal_events"),
        "load_average": _most(facts, "load_average"),
    }


def _energy(facts: Sequence[dict[str, Any]], items: int) -> dict[str, float | None]:
    """Return joules an item, of the processor's package (RAPL) and of the GPU (NVML); None where nobody tells."""
    joules = {name: _sum(facts, f"{name}_j") for name in ("package", "gpu")}
    return {name: None if value is None else value / items for name, value in joules.items()}


def _sum(facts: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [fact[name] for fact in facts if name in fact]
    return float(sum(values)) if len(values) == len(facts) else None


def _most(facts: Sequence[dict[str, Any]], name: str) -> float | None:
    return max((fact[name] for fact in facts if fact.get(name) is not None), default=None)


def _explain_overload(windows: Sequence[Window], plan: MeasurePlan) -> str:
    unserved = sum(window.facts.get("unserved", 0) for window in windows)
    if not unserved:
        return ""
    _, gaps = pool_windows(windows)
    served = gaps.size / max(int(gaps.sum()) / 1e9, 1e-9)
    return (
        f"{plan.rate:g} calls a second are more than it serves: {served:,.0f} a second were answered, "
        f"{unserved:,} waited at the end; the latencies are those of the answered ones"
    )


def _engine_settings(settings: RuntimeSettings, info: RuntimeInfo) -> dict[str, Any]:
    return {
        "optimisation": settings.optimisation,
        "tf32": settings.tf32,
        "device": to_plain(settings.device) if info.provider_active in CUDA_PROVIDERS else {},
        "runs_at_once": settings.runs_at_once,
        "allow_fallback": settings.allow_fallback,
        "placement": info.placement,
        "engine": info.details,
    }


def _cells(row: BenchRow) -> list[Any]:
    latency, intervals, cold = row.latency_ms or {}, row.ci95 or {}, row.cold or {}
    ends = [end for name in INTERVALS for end in intervals.get(name, (None, None))]
    return [
        *(getattr(row, name) for name in COLUMNS),
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
