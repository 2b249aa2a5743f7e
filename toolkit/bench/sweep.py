"""The sweep: every combination one row, in workers, whatever happens to the others.

Where no batch sizes are named, as many of the default ones are measured as the time allows.
"""

from __future__ import annotations

__all__ = ["BUDGET_S", "PreparedBench", "explain_batches", "fit_batches", "prepare_bench"]

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.inputs import choose_batches, try_feeds
from toolkit.bench.measuring.interleaving import AGAIN_CALLS, MOST_WINDOWS, PlannedRow, PlannedWorker, measure_rows
from toolkit.bench.measuring.machine_peak import MachinePeak, measure_peak
from toolkit.bench.measuring.probing import Probe, probe_variants
from toolkit.bench.measuring.variants import Variant, bindings_of, expand_variants, settings_for
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.rows import make_row
from toolkit.bench.verdict import explain_rows, find_crossovers, share_of_peak
from toolkit.environment import describe_environment
from toolkit.errors import UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowWork, show_nothing
from toolkit.runtimes.providers import PROVIDERS, DeviceOptions
from toolkit.runtimes.timing.loadgen import import_loadgen
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.workers.client import Opener, open_worker

# Where a row may take less than that, finding out what the machine can do would take longer than all rows.
LEAST_FOR_PEAKS_S = 0.5
# Of all rows of one engine with default batches; with its start, a bench is then over in about 15 s.
BUDGET_S = 11.5


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
        show: told what is being measured, and how far that is.
    """

    config: BenchConfig
    source: ModelSource
    probes: tuple[Probe, ...]
    command: str
    environment: dict[str, Any]
    opener: Opener = open_worker
    show: ShowWork = show_nothing

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen for the user, one line each."""
        chosen = "" if self.config.feed_plan is None else self.config.feed_plan.describe()
        opened = [probe for probe in self.probes if probe.info is not None]
        return tuple(filter(None, (chosen, *(explain_batches(probe, self.config) for probe in opened))))

    def measure(self, *, with_peaks: bool = True) -> BenchReport:
        """Measure every row; an interrupt ends it with what is finished.

        Args:
            with_peaks: also measure what the machine can do at best.
        """
        rows: dict[int, BenchRow] = {}
        is_interrupted = not self._measure_rows(self._plan(rows), rows)
        peaks: tuple[MachinePeak, ...] = ()
        if with_peaks and not is_interrupted:
            try:
                peaks = self._peaks(rows.values())
            except KeyboardInterrupt:
                is_interrupted = True
        explained = _explain_all([rows[number] for number in sorted(rows)], peaks)
        return BenchReport(
            command=self.command,
            environment=self.environment,
            model=self.source.describe(),
            inputs={} if self.config.feed_plan is None else self.config.feed_plan.to_json(),
            notes=self.notes,
            rows=explained,
            floors=peaks,
            advice=tuple(find_crossovers(explained)),
            is_interrupted=is_interrupted,
        )

    def _measure_rows(self, planned: list[PlannedRow], rows: dict[int, BenchRow]) -> bool:
        """Add what is measured to the rows; return whether all of it was."""
        # In windows, a row after the other, turn by turn: the first rows end when most of the time is over.
        with self.show("measuring rows in turn", unit="rows") as tell:
            try:
                for done in measure_rows(planned, self.config, opener=self.opener, progress=tell):
                    rows[done.row.number] = make_row(done, self.config.plan_for(done.row.worker.settings))
            except KeyboardInterrupt:
                return False
        return True

    def _peaks(self, rows: Iterable[BenchRow]) -> tuple[MachinePeak, ...]:
        """Measure what the providers of the rows can do at best, each once for each number of threads."""
        if self.config.plan.max_s < LEAST_FOR_PEAKS_S:
            return ()
        wanted = {(row.provider_active, row.threads): None for row in rows if row.multiply_adds}
        with self.show("measuring what this machine can do at best"):
            return tuple(
                measure_peak(provider, threads, opener=self.opener, timeout_s=self.config.timeout_s)
                for provider, threads in wanted
                # Another build's products would hold the copies of its inputs.
                if provider in PROVIDERS and PROVIDERS[provider].runtime == "ort" and threads is not None
            )

    def _plan(self, rows: dict[int, BenchRow]) -> list[PlannedRow]:
        """Return what is to be measured; variants that did not open are rows at once."""
        planned: list[PlannedRow] = []
        workers = 0
        for probe in self.probes:
            if probe.info is None:
                rows[len(rows) + len(planned)] = self._row_of(probe)
                continue
            batches = fit_batches(probe, self.config)
            for threads, binding in product(self.config.threads, bindings_of(probe.variant, self.config)):
                worker = self._worker(probe, threads, number=workers, io_binding=binding)
                workers += 1
                first = len(rows) + len(planned)
                planned += [
                    PlannedRow(number=first + place, worker=worker, batch=batch) for place, batch in enumerate(batches)
                ]
        return planned

    def _worker(self, probe: Probe, threads: int, *, number: int, io_binding: bool) -> PlannedWorker:
        source = probe.source or self.source
        settings = settings_for(
            probe.variant,
            self.config,
            precision=probe.arithmetic,
            threads=threads,
            source=source,
            io_binding=io_binding,
        )
        return PlannedWorker(number=number, probe=probe, source=source, settings=settings)

    def _row_of(self, probe: Probe) -> BenchRow:
        return BenchRow(
            runtime=probe.variant.runtime,
            provider_requested=probe.variant.provider,
            precision=probe.precision,
            scenario=self.config.plan.scenario,
            boundary=self.config.plan.boundary,
            status=probe.status,
            was_named=probe.variant.runtime_named,
            reason=probe.reason,
            log=probe.log,
        )


def prepare_bench(
    config: BenchConfig,
    source: ModelSource,
    *,
    command: str,
    opener: Opener = open_worker,
    show: ShowWork = show_nothing,
) -> PreparedBench:
    """Open every variant once, before anything is measured.

    Args:
        config: what is to be measured.
        source: the model.
        command: what repeats it, for the report.
        opener: opens a model in a worker.
        show: told what is being done, and how far that is.

    Raises:
        ProviderError: a provider asked for by name is not active.
        ResourceError: a runtime asked for by name, or LoadGen, is not installed.
        UsageError: a name is unknown, a combination asked for makes no sense, or no inputs can be made.
        ModelError: no variant accepts the model.
    """
    environment = describe_environment()
    variants = expand_variants(config)
    if config.plan.driver == "loadgen":
        import_loadgen()
    _check_device_options(variants, config)
    if config.feed_plan is None:
        config = replace(config, feed_plan=try_feeds(config, source, opener=opener))
    with show("opening the model in every engine", unit="engines") as tell:
        probes = probe_variants(variants, config, source=source, opener=opener, progress=tell)
    return PreparedBench(
        config=config, source=source, probes=probes, command=command, environment=environment, opener=opener, show=show
    )


def fit_batches(probe: Probe, config: BenchConfig) -> tuple[int, ...]:
    """Return the batch sizes to measure: `choose_batches`, and of the default ones those that the time allows.

    A default batch that would run too long gives way to the largest power of two that does not; larger ones are left
    out. The smallest is always measured.

    Args:
        probe: an engine that opened, with the time of one call.
        config: what is asked for.
    """
    wanted = _wanted(probe, config)
    if config.batches is not None or wanted != config.default_batches:
        return wanted
    fitting, left_s = [wanted[0]], BUDGET_S - _row_s(probe, wanted[0], plan=config.plan)
    for batch in wanted[1:]:
        smaller = batch
        while smaller > fitting[-1] and _row_s(probe, smaller, plan=config.plan) > left_s:
            smaller //= 2
        if smaller <= fitting[-1]:
            break
        fitting.append(smaller)
        left_s -= _row_s(probe, smaller, plan=config.plan)
        if smaller < batch:
            break
    return tuple(fitting)


def explain_batches(probe: Probe, config: BenchConfig) -> str:
    """Return in one line which of the default batches are left out for time; empty where none is."""
    fitting, wanted = fit_batches(probe, config), _wanted(probe, config)
    if fitting == wanted:
        return ""
    all_s = sum(_row_s(probe, batch, plan=config.plan) for batch in wanted)
    words = ",".join(map(str, wanted))
    engine = f"{probe.variant.runtime} on {probe.variant.provider}"
    return (
        f"{engine} takes {probe.call_s / probe.batch * 1e3:.3g} ms an item, so that batches of {words} would run "
        f"{all_s:.0f} s; {','.join(map(str, fitting))} are measured (for all of them: --batch {words})"
    )


def _explain_all(rows: list[BenchRow], peaks: tuple[MachinePeak, ...]) -> tuple[BenchRow, ...]:
    verdicts = explain_rows(rows, peaks)
    return tuple(
        replace(row, verdict=verdicts.get(number, ""), matmul_share=share_of_peak(row, peaks))
        for number, row in enumerate(rows)
    )


def _check_device_options(variants: tuple[Variant, ...], config: BenchConfig) -> None:
    """Refuse options of CUDA where no variant runs on it: they would be said and not be done."""
    has_options = config.device != DeviceOptions()
    if (has_options or config.tf32) and not any(variant.provider == "cuda" for variant in variants):
        raise UsageError(
            "--cuda-graph, --device-option and --tf32 are about CUDA, and nothing here is measured on it; "
            "add --provider cuda, or leave them out"
        )


def _wanted(probe: Probe, config: BenchConfig) -> tuple[int, ...]:
    assert probe.info is not None
    default, feeds = config.default_batches, config.feeds
    return choose_batches(config.batches, probe.info.inputs, config=feeds, plan=config.feed_plan, default=default)


def _row_s(probe: Probe, batch: int, *, plan: MeasurePlan) -> float:
    """Return about how long a row takes that soon agrees with itself; each window warms up and counts a call."""
    call_s = probe.call_s / probe.batch * batch
    window_s = max(plan.max_s / MOST_WINDOWS, call_s)
    counted_s = min(max(plan.min_s, plan.min_calls * call_s), plan.max_s)
    windows = max(counted_s / window_s, 1.0)
    first_s = max(plan.warmup_s, min(plan.warmup_calls * call_s, window_s + call_s))
    again_s = min(AGAIN_CALLS * call_s, window_s + call_s)
    return first_s + windows * (call_s + window_s) + (windows - 1) * again_s
