"""The sweep: every combination in a fresh worker, one row each, whatever happens to the others."""

from __future__ import annotations

__all__ = ["PreparedBench", "prepare_bench", "run_bench"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.bench.bootstrap import bootstrap_intervals
from toolkit.bench.inputs import choose_batches, make_feeds
from toolkit.bench.opening import Opener, Probe, open_worker, probe_variants, settings_for
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.statistics import summarise
from toolkit.bench.variants import expand_variants
from toolkit.environment import describe_environment
from toolkit.errors import ToolkitError, WorkerError
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from toolkit.bench.config import BenchConfig
    from toolkit.runtimes.source import ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBench:
    """A sweep whose variants were all opened once.

    Attributes:
        config: what is to be measured.
        source: the model.
        probes: what opening each variant told.
        command: what repeats it, for the report.
        environment: the machine before the sweep; its load is not the sweep's own.
        opener: opens a model in a worker.
    """

    config: BenchConfig
    source: ModelSource
    probes: tuple[Probe, ...]
    command: str
    environment: dict[str, Any]
    opener: Opener = open_worker

    def measure(self, *, progress: Callable[[int, int], None] | None = None) -> BenchReport:
        """Measure every row.

        Args:
            progress: called with (rows done, rows in all).
        """
        jobs = [job for probe in self.probes for job in self._jobs(probe)]
        rows = []
        for number, (probe, threads, batch) in enumerate(jobs):
            if progress:
                progress(number, len(jobs))
            rows.append(self._row(probe, threads, batch))
        if progress:
            progress(len(jobs), len(jobs))
        model = {"path": str(self.source.path), "sha256": self.source.sha256}
        return BenchReport(command=self.command, environment=self.environment, model=model, rows=tuple(rows))

    def _jobs(self, probe: Probe) -> list[tuple[Probe, int | None, int | None]]:
        if probe.info is None:
            return [(probe, None, None)]
        batches = choose_batches(self.config.batches, probe.info.inputs, self.config.feeds)
        return [(probe, threads, batch) for threads in self.config.threads for batch in batches]

    def _row(self, probe: Probe, threads: int | None, batch: int | None) -> BenchRow:
        variant = probe.variant
        known: dict[str, Any] = {
            "runtime": variant.runtime,
            "provider_requested": variant.provider,
            "precision": probe.precision,
            "batch": batch,
            "threads": threads,
        }
        if probe.info is None or threads is None or batch is None:
            return BenchRow(**known, status=probe.status, reason=probe.reason, log=probe.log)
        try:
            return self._measure_row(probe, known, threads=threads, batch=batch)
        except ToolkitError as error:
            log = error.log if isinstance(error, WorkerError) else ""
            return BenchRow(**known, version=probe.info.version, status="fail", reason=str(error), log=log)

    def _measure_row(self, probe: Probe, known: dict[str, Any], *, threads: int, batch: int) -> BenchRow:
        config, plan = self.config, self.config.plan
        settings = settings_for(probe.variant, config, precision=probe.precision, threads=threads, source=self.source)
        with self.opener(self.source, settings, config.timeout_s) as engine:
            feeds = make_feeds(engine.info.inputs, batch=batch, golden=probe.golden, config=config.feeds)
            result, cold, info = engine.measure(feeds.arrays, plan), engine.cold_ms, engine.info
        recorded = {"feeds": feeds.origin, "plan": plan.to_json(), **_engine_settings(settings, info)}
        return _measured_row(known, info=info, settings=recorded, cold=cold, result=result)


def prepare_bench(
    config: BenchConfig, source: ModelSource, *, command: str, opener: Opener = open_worker
) -> PreparedBench:
    """Open every variant once, before anything is measured.

    Raises:
        ProviderError: a provider asked for by name is not active.
        ResourceError: a runtime asked for by name is not installed.
        UsageError: a name is unknown, a combination asked for makes no sense, or no inputs can be made.
        ModelError: no variant accepts the model.
    """
    environment = describe_environment()
    probes = probe_variants(expand_variants(config), config, source, opener=opener)
    return PreparedBench(
        config=config, source=source, probes=probes, command=command, environment=environment, opener=opener
    )


def run_bench(
    config: BenchConfig, source: ModelSource, *, command: str = "", opener: Opener = open_worker
) -> BenchReport:
    """Check, then measure: `prepare_bench` and `PreparedBench.measure` in one call, with the errors of the first."""
    return prepare_bench(config, source, command=command, opener=opener).measure()


def _measured_row(
    known: dict[str, Any],
    *,
    info: RuntimeInfo,
    settings: dict[str, Any],
    cold: dict[str, float],
    result: dict[str, NDArray[Any]],
) -> BenchRow:
    statistics = summarise(result["samples_ns"], batch=known["batch"])
    return BenchRow(
        **known,
        version=info.version,
        provider_active=info.provider_active,
        fallback=info.fallback,
        settings=settings,
        samples=statistics.samples,
        latency_ms=statistics.latency_json(),
        latency_missing=statistics.missing,
        throughput_items_per_s=statistics.throughput_items_per_s,
        ci95=bootstrap_intervals(result["samples_ns"], batch=known["batch"]),
        samples_ns=result["samples_ns"],
        stable=statistics.stable,
        spread=statistics.spread,
        cold={**cold, "first_run_ms": int(result["first_run_ns"][0]) / 1e6},
        reason=str(info.details.get("fallback_reason", "")),
    )


def _engine_settings(settings: RuntimeSettings, info: RuntimeInfo) -> dict[str, Any]:
    return {
        "optimisation": settings.optimisation,
        "tf32": settings.tf32,
        "allow_fallback": settings.allow_fallback,
        "placement": info.placement,
        "engine": info.details,
    }
