"""What a benchmark leaves: rows and the report around them; and a result in a file, read back and held to its form."""

from __future__ import annotations

__all__ = ["BENCH_SCHEMA", "IDENTITY", "BenchReport", "BenchRow", "model_name", "read_result"]

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.counts import count_of
from toolkit.durable import read_json
from toolkit.errors import DataError
from toolkit.plain import to_plain
from toolkit.runtimes.providers import mark_software
from toolkit.telling.summary import Summarised, Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from toolkit.bench.measuring.machine_peak import MachinePeak

BENCH_SCHEMA = "toolkit/bench/1"
# What makes two rows the same row.
IDENTITY = ("runtime", "provider_active", "precision", "batch", "threads", "scenario", "boundary", "io_binding")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BenchRow(Summarised):
    """One measured combination, or why it was not measured.

    Attributes:
        runtime: registry name.
        version: the engine's version, None where it did not open.
        provider_requested: provider or device asked for.
        provider_active: the one that was in use, None where none was.
        fallback: whether that is not the one asked for.
        precision: arithmetic asked for.
        batch: items in one call; None for a row about all batch sizes.
        threads: threads inside one operator, 0 the engine's own choice; None for a row about all of them.
        scenario: MLPerf's word for how calls arrive, as in `MeasurePlan`.
        boundary: `host`, from host arrays to host arrays, or `device`, where both stay in the device's memory.
        io_binding: whether inputs and outputs had buffers of the device that were kept between calls.
        device: what WebGPU computed on: `adapter`, `driver`, `backend`, and `software`, a CPU in a GPU's place.
        settings: plan, feeds, placement and engine settings.
        samples: number of counted queries, each of one call (of `streams` calls in `multi-stream`); None where nothing
            was measured.
        latency_ms: `mean`, `min`, `max`, `p50` to `p99.9` of one query; a percentile with too few samples is None.
        latency_missing: for each percentile that is None, why.
        throughput_items_per_s: items per second over all counted queries.
        ci95: 95 % intervals of the percentiles (ms) and of `throughput_items_per_s`; None where nothing was measured.
        windows: of each, in the order measured: `calls`, `median_ms`, `throughput_items_per_s`.
        stable: whether the last three windows agree within 10 %; None where that is not known.
        spread: by how much they differ, as a share.
        quantiles_ms: what the cumulative distribution is drawn from: the quantiles of `rows.QUANTILES`.
        machine: shares of all processors that this row, others and the hypervisor had, seconds of throttling by a
            quota, thermal events, the load average; None where the machine does not tell.
        memory: `host_peak_bytes` of the worker while the row was measured, `gpu_used_bytes` after it.
        energy_j_per_item: joules of the processor's `package` (RAPL) and of the `gpu` (NVML); None where nobody tells.
        multiply_adds: of convolutions, matrix products and recurrent layers in one call, counted in the graph; None
            where that is not possible, and without them there is no `matmul_share`.
        uncounted: why that is not possible.
        matmul_share: the share of the machine's own float32 matrix product that was reached.
        verdict: what the time was spent on, in words with the figure behind them.
        phases_ms: medians of `copy_in`, `compute`, `copy_out` and `host` overhead where a device has its own memory.
        cold: `import_ms` and `load_ms` of the row's process, and `first_run_ms`, its first call with this batch size:
            the first of all where `settings.first_in_process` says so.
        status: `pass`, `fail`, `refused` where the engine does not take the file, or `skip`.
        was_named: whether the engine was asked for by its name, so that a refusal is a failure of the benchmark.
        reason: why it failed, was refused, was skipped or fell back.
        notes: what the engine's adapter has passed over, and which settings are untested; one line each.
        log: last lines of the worker, for a failure.
        answers: of requests to a server: `offered`, `refused` (it had no room), `failed`, and `first_missed` in words.
        client: of those who asked a server: `cpu_share` of one core; `lag_p99_ms`, `lag_max_ms`, how long requests
            waited for the client itself, which their latencies hold.
        rates: of a capacity: every rate that was tried, in order: `rate`, `verdict` (`holds`, `misses`, `client`) and
            `runs`. The row's other figures are those of the highest that holds, its `throughput_items_per_s` is that
            rate, whose interval ends at the lowest that does not.
        samples_ns: int64 `[samples]`, nanoseconds of every counted call in the order measured; not part of the JSON.
    """

    runtime: str
    version: str | None = None
    provider_requested: str
    provider_active: str | None = None
    fallback: bool = False
    precision: str
    batch: int | None = None
    threads: int | None = None
    scenario: str = "single-stream"
    boundary: str = "host"
    io_binding: bool = False
    device: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    samples: int | None = None
    latency_ms: dict[str, float | None] | None = None
    latency_missing: dict[str, str] = field(default_factory=dict)
    throughput_items_per_s: float | None = None
    ci95: dict[str, list[float]] | None = None
    stable: bool | None = None
    spread: float | None = None
    windows: list[dict[str, float]] = field(default_factory=list)
    quantiles_ms: list[float] | None = None
    machine: dict[str, float | None] | None = None
    memory: dict[str, float | None] | None = None
    energy_j_per_item: dict[str, float | None] | None = None
    multiply_adds: int | None = None
    uncounted: str = ""
    matmul_share: float | None = None
    verdict: str = ""
    phases_ms: dict[str, float] | None = None
    cold: dict[str, float] | None = None
    status: str = "pass"
    was_named: bool = True
    reason: str = ""
    notes: tuple[str, ...] = ()
    log: str = ""
    answers: dict[str, Any] | None = None
    client: dict[str, float | None] | None = None
    rates: list[dict[str, Any]] | None = None
    samples_ns: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    def summarise(self) -> Summary:
        """Return the row in a line."""
        runtime, provider, precision, threads, batch, p50, _, rate, status = self.cells()
        where = f"{runtime} on {provider}, {precision}, {threads or 'any number of'} threads, batch {batch or 'any'}"
        return Summary(f"{where}: {f'p50 {p50} ms, {rate} items/s' if p50 else status}")

    def cells(self) -> tuple[str, ...]:
        """Return what sets the row apart and its main figures, as text."""
        latency = self.latency_ms or {}
        figures = (latency.get("p50"), latency.get("p99"), self.throughput_items_per_s)
        numbers = ("" if figure is None else f"{figure:.4g}" for figure in figures)
        where = mark_software(self.provider_active or self.provider_requested, self.device)
        sizes = ("" if size is None else str(size) for size in (self.threads, self.batch))
        return (self.runtime, where, self.precision, *sizes, *numbers, self.reason or self.status)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "samples_ns"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedSetting:
    """A setting that a search looked at shortly.

    Attributes:
        runtime: its engine.
        provider: where it ran, or was asked to run.
        precision: of the arithmetic.
        threads: CPU threads; 0 or None: its own number.
        batch: items in a call.
        p50_ms: of a call, coarsely; None where it did not run.
        throughput_items_per_s: coarsely; None where it did not run.
        is_finalist: whether it was measured properly afterwards.
    """

    runtime: str
    provider: str
    precision: str
    threads: int | None
    batch: int | None
    p50_ms: float | None
    throughput_items_per_s: float | None
    is_finalist: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BenchReport(Summarised):
    """All rows of one benchmark.

    Attributes:
        command: what repeats it.
        environment: the machine, as `describe_environment` tells.
        model: `path`, `sha256` and `size_bytes`.
        inputs: what a stranger's file was fed, as `FeedPlan.to_json` tells; empty where nothing was made.
        notes: what was chosen for the user, one line each.
        floors: what this machine can do at best, of each provider and number of threads.
        advice: which variant to use from which batch size on.
        chosen: of a search: the number of the best row, `objective`, `max_p99_ms`, `settings` as code to copy.
        tried: of a search: every setting that was looked at shortly, the best first.
        rows: in the order asked for.
        unmet: what a search did not find.
        is_interrupted: whether it was ended before everything was measured.
    """

    command: str
    environment: dict[str, Any]
    model: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    floors: tuple[MachinePeak, ...] = ()
    advice: tuple[str, ...] = ()
    chosen: dict[str, Any] | None = None
    tried: tuple[TriedSetting, ...] = ()
    rows: tuple[BenchRow, ...]
    unmet: str = ""
    is_interrupted: bool = False

    @property
    def failed(self) -> tuple[BenchRow, ...]:
        """The rows for which the benchmark fails: those that failed, and refusals of engines that were named."""
        return tuple(row for row in self.rows if row.status == "fail" or (row.status == "refused" and row.was_named))

    @property
    def problem(self) -> str:
        """Why the benchmark is not passed, in one sentence; empty where it is."""
        if self.unmet:
            return self.unmet
        rows = f"{len(self.failed)} of {count_of(len(self.rows), 'row')}"
        return f"{rows} failed: {self.failed[0].reason}" if self.failed else ""

    def summarise(self) -> Summary:
        """Return what was measured, a row for each combination."""
        columns = ("runtime", "provider", "precision", "threads", "batch", "p50 ms", "p99 ms", "items/s", "status")
        facts = {"model": self.model["path"], **({"problem": self.problem} if self.problem else {})}
        verdict = "interrupted" if self.is_interrupted else "failed" if self.problem else "passed"
        title = f"benchmark {verdict}: {count_of(len(self.rows), 'row')}"
        return Summary(title, facts, [row.cells() for row in self.rows], columns)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values of schema `toolkit/bench/1`.

        Keys:
            passed: whether every row was measured that had to be, and a search found what it looked for.
        """
        told = {name: item for name, item in to_plain(self).items() if name not in {"unmet", "is_interrupted"}}
        passed = not self.problem and not self.is_interrupted
        judged = {"passed": passed, "interrupted": self.is_interrupted}
        return {"schema": BENCH_SCHEMA, **judged, **told, "inputs": self.inputs or None}


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


def model_name(result: dict[str, Any]) -> str:
    """Return the file name of the model that a result is about, whichever system wrote its path."""
    return str(result["model"]["path"]).replace("\\", "/").rpartition("/")[2]


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
