"""A search for the settings to use: all is tried shortly, what is near the best is measured properly, in turns."""

from __future__ import annotations

__all__ = ["DEFAULT_OBJECTIVE", "Goal", "search_settings"]

import math
import shlex
from dataclasses import dataclass, replace
from typing import Any

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.inputs import try_feeds
from toolkit.bench.measuring.probing import Probe
from toolkit.bench.report import BenchReport, BenchRow, TriedSetting
from toolkit.bench.sweep import PreparedBench, prepare_bench
from toolkit.counts import count_of
from toolkit.environment import usable_cores
from toolkit.errors import UsageError, require_known
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowWork, show_nothing
from toolkit.runtimes.providers import PROVIDERS
from toolkit.runtimes.workers.client import Opener, open_worker

OBJECTIVES = ("latency", "throughput")
DEFAULT_OBJECTIVE = "latency"
BATCHES = {"latency": (1,), "throughput": (1, 8, 32, 128, 512)}
# The short look decides only what is worth a proper one: it is coarse, so what is not much worse comes along.
SCREEN: dict[str, Any] = {"warmup_calls": 3, "warmup_s": 0.05, "min_calls": 11, "min_s": 0.05, "max_s": 0.3}
NEAR, MOST_FINALISTS = 1.5, 6
# A limit of p99 cannot be judged without the 662 calls of its floor: a row may take so long for them.
P99_SECONDS = 12.0
Key = tuple[str, str, str, int | None, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is best.

    Attributes:
        objective: `latency`, the lowest p50 of a call; or `throughput`, the most items a second.
        max_p99_ms: the upper end of the 95 % interval of p99 may not be over it; None asks for nothing.
    """

    objective: str = DEFAULT_OBJECTIVE
    max_p99_ms: float | None = None

    def __post_init__(self) -> None:
        require_known(self.objective, OBJECTIVES, what="goal")
        if self.max_p99_ms is not None and not 0 < self.max_p99_ms < math.inf:
            raise UsageError(f"--max-p99-ms is {self.max_p99_ms:g}; expected more than 0, and finite")

    def cost(self, row: BenchRow) -> float:
        """Return what is to be as small as possible: p50 in milliseconds, or seconds an item."""
        if row.latency_ms is None or not row.throughput_items_per_s:
            return math.inf
        p50 = row.latency_ms.get("p50")
        return (math.inf if p50 is None else p50) if self.objective == "latency" else 1 / row.throughput_items_per_s

    def may_be_met(self, row: BenchRow) -> bool:
        """Tell whether a row that was looked at shortly can be within the limit: its p50 is."""
        p50 = (row.latency_ms or {}).get("p50")
        return self.max_p99_ms is None or (p50 is not None and p50 <= self.max_p99_ms)

    def is_met(self, row: BenchRow) -> bool:
        """Tell whether a row is surely within the limit."""
        if self.max_p99_ms is None:
            return True
        return "p99" in (row.ci95 or {}) and (row.ci95 or {})["p99"][1] <= self.max_p99_ms


def search_settings(
    config: BenchConfig,
    goal: Goal,
    *,
    source: ModelSource,
    command: str,
    opener: Opener = open_worker,
    show: ShowWork = show_nothing,
) -> BenchReport:
    """Search runtime x provider x threads x batch x precision, as far as the config names them.

    Args:
        config: runtimes and providers to try; batches and threads that are not given are chosen: powers up to 512 for
            throughput and 1 for latency, 1 thread and as many as there are cores.
        goal: what is best.
        source: the model.
        command: what repeats it, for the report.
        opener: opens a model in a worker.
        show: told what is being done, of one stage after the other, and how far that is.

    Returns:
        The rows of the finalists, `chosen` among them; `unmet` where none is within the limit.

    Raises:
        UsageError, ProviderError, ResourceError, ModelError: as `prepare_bench`.
    """
    if config.plan.scenario not in {"single-stream", "offline"}:
        raise UsageError(f"a search measures single-stream or offline, not {config.plan.scenario}")
    config = replace(config, feed_plan=try_feeds(config, source, opener=opener))
    wanted = replace(
        config,
        threads=config.threads if config.threads != (0,) else tuple(dict.fromkeys((1, usable_cores()))),
        batches=config.batches or _batches(config, goal),
    )
    look = replace(wanted, plan=replace(config.plan, **SCREEN))
    prepared = prepare_bench(look, source, command=command, opener=opener, show=show)
    screened = prepared.measure(with_peaks=False)
    if screened.is_interrupted:
        return screened
    finalists = _choose(screened.rows, goal)
    longest_s = config.plan.max_s if goal.max_p99_ms is None else max(config.plan.max_s, P99_SECONDS)
    proper = replace(wanted, plan=replace(config.plan, max_s=longest_s))
    final = _narrow(prepared, proper, finalists=finalists).measure()
    rows = tuple(row for row in final.rows if _key(row) in finalists)
    failed = tuple(row for row in screened.rows if row.status != "pass")
    tried = _list_tried(screened.rows, goal, finalists=finalists)
    return _conclude(replace(final, tried=tried, rows=(*rows, *failed)), goal, source=source)


def _batches(config: BenchConfig, goal: Goal) -> tuple[int, ...] | None:
    # Arrays that were given have a batch of their own, and so has a file that takes one size only.
    given, plan = config.feeds.given is not None or config.feeds.shapes, config.feed_plan
    has_own = given or (plan is not None and not plan.has_open_batch)
    return None if has_own else BATCHES[goal.objective]


def _choose(rows: tuple[BenchRow, ...], goal: Goal) -> dict[Key, float]:
    """Return the variants near the best, with the cost of their best row; each at most once."""
    best: dict[Key, float] = {}
    for row in rows:
        if row.status == "pass" and goal.may_be_met(row) and goal.cost(row) < best.get(_key(row), math.inf):
            best[_key(row)] = goal.cost(row)
    if not best:  # nobody is within the limit: the soonest of all is measured to say by how much
        return _choose(rows, Goal(objective="latency")) if goal.max_p99_ms is not None else {}
    ranked = sorted(best, key=best.__getitem__)
    near = [key for key in ranked if best[key] <= NEAR * best[ranked[0]]]
    return {key: best[key] for key in near[:MOST_FINALISTS]}


def _list_tried(rows: tuple[BenchRow, ...], goal: Goal, *, finalists: dict[Key, float]) -> tuple[TriedSetting, ...]:
    return tuple(
        TriedSetting(
            runtime=row.runtime,
            provider=row.provider_active or row.provider_requested,
            precision=row.precision,
            threads=row.threads,
            batch=row.batch,
            p50_ms=(row.latency_ms or {}).get("p50"),
            throughput_items_per_s=row.throughput_items_per_s,
            is_finalist=_key(row) in finalists,
        )
        for row in sorted(rows, key=goal.cost)
        if row.status == "pass"
    )


def _narrow(prepared: PreparedBench, config: BenchConfig, *, finalists: dict[Key, float]) -> PreparedBench:
    """Return the same sweep, of the finalists' variants and thread counts only, at full length."""
    names = {key[:3] for key in finalists}
    probes = tuple(probe for probe in prepared.probes if _names(probe) in names)
    threads = tuple(count for count in config.threads if any(key[3] == count for key in finalists))
    return replace(prepared, config=replace(config, threads=threads or config.threads), probes=probes)


def _names(probe: Probe) -> tuple[str, str, str]:
    return probe.variant.runtime, probe.variant.provider, probe.precision


def _key(row: BenchRow) -> Key:
    return row.runtime, row.provider_requested, row.precision, row.threads, row.io_binding


def _conclude(report: BenchReport, goal: Goal, *, source: ModelSource) -> BenchReport:
    able = [number for number, row in enumerate(report.rows) if row.status == "pass" and goal.is_met(row)]
    if not able:
        return replace(report, unmet=_explain_unmet(report.rows, goal))
    number = min(able, key=lambda place: goal.cost(report.rows[place]))
    row = report.rows[number]
    chosen: dict[str, Any] = {
        "row": number,
        "objective": goal.objective,
        "max_p99_ms": goal.max_p99_ms,
        "settings": _settings_snippet(row, source),
    }
    return replace(report, chosen=chosen)


def _explain_unmet(rows: tuple[BenchRow, ...], goal: Goal) -> str:
    known = [row for row in rows if "p99" in (row.ci95 or {})]
    if not known:
        return "no setting was measured often enough for a p99; give it more time: --seconds 10"
    best = min(known, key=lambda row: (row.ci95 or {})["p99"][1])
    reached = (best.ci95 or {})["p99"][1]
    return (
        f"no setting answers 99 % of the calls within {goal.max_p99_ms:g} ms; the nearest is {best.runtime} on "
        f"{best.provider_active} with batch {best.batch}: {reached:.3g} ms (upper end of the 95 % interval)"
    )


def _settings_snippet(row: BenchRow, source: ModelSource) -> str:
    """Return code that opens the model as the row did.

    Args:
        row: a row that was measured.
        source: the model of the sweep; a row of another precision has the file beside it.
    """
    path = source.path.name if row.settings.get("file") is None else str(row.settings["file"])
    provider = row.provider_active or row.provider_requested
    if row.runtime != "ort" or PROVIDERS[provider].plugin:
        threads = ["--threads", str(row.threads)] if row.threads else []
        where = ["--provider", provider] if row.runtime == "ort" else []
        arithmetic = ["--precision", row.precision] if row.precision in {"bf16", "tf32"} else []
        batch = ["--batch", str(row.batch)]
        return shlex.join(
            ["toolkit", "predict", path, "IMAGES", "--runtime", row.runtime, *where, *arithmetic, *batch, *threads]
        )
    options = (row.settings.get("engine") or {}).get("provider_options")
    entry = f'("{PROVIDERS[provider].ort_name}", {options})' if options else f'"{PROVIDERS[provider].ort_name}"'
    return "\n".join(
        [
            "options = onnxruntime.SessionOptions()",
            f"options.intra_op_num_threads = {row.threads or 0}",
            f"session = onnxruntime.InferenceSession({path!r}, options, providers=[{entry}])",
            f"# {count_of(row.batch or 1, 'item')} in a call",
        ]
    )
