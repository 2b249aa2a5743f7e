"""The whole harness over engines of known latency, on a clock that only their calls move: every figure is the known one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench_samples import make_opener, make_source, run_bench
from clocked import ClockedEngine, FakeClock, draw
from fake_engine import make_info
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.bench.config import DEFAULT_PLAN, BenchConfig
from toolkit.bench.measuring.interleaving import next_window
from toolkit.bench.report import BenchRow
from toolkit.plain import to_plain
from toolkit.runtimes.timing.plan import MeasurePlan

MS = 1_000_000


def _measure(engine: Any, **plan: Any) -> BenchRow:
    config = BenchConfig(batches=(4,), plan=MeasurePlan(**{**to_plain(DEFAULT_PLAN), **plan}))
    (row,) = run_bench(config, make_source(), opener=make_opener({("ort", "cpu"): engine})).rows
    assert row.status == "pass"
    return row


def _latency(row: BenchRow, name: str) -> float:
    assert row.latency_ms is not None
    value = row.latency_ms[name]
    assert value is not None
    return value


def _assert_within_its_interval(row: BenchRow, name: str, truth: float) -> None:
    assert row.ci95 is not None
    low, high = row.ci95[name]
    # 95 % intervals miss one time in twenty; twice their width hardly ever.
    middle, half = (low + high) / 2, (high - low) / 2
    assert abs(truth - middle) <= 2 * half + 1e-9 * truth, (name, truth, low, high)


def test_constant_engine_has_that_constant_everywhere() -> None:
    row = _measure(ClockedEngine(lambda _: 2 * MS))
    for name in ("mean", "min", "max", "p50", "p90", "p95", "p99"):
        assert _latency(row, name) == 2
    assert row.latency_ms is not None
    assert row.latency_ms["p99.9"] is None
    assert row.throughput_items_per_s == pytest.approx(2000)
    assert (row.stable, row.spread) == (True, 0)
    assert row.samples == 662
    assert row.ci95 is not None
    assert row.ci95["p99"] == [2, 2]
    assert row.quantiles_ms is not None
    assert {*row.quantiles_ms} == {2.0}


def test_bimodal_engine_shows_both_of_its_times() -> None:
    # One call in twenty is ten times as long: p50 and p90 are of one kind, p99 of the other.
    chosen = np.random.default_rng(3).random(10_000) < 0.05
    row = _measure(ClockedEngine(draw(np.where(chosen, 10 * MS, MS))))
    assert (_latency(row, "p50"), _latency(row, "p90"), _latency(row, "p99")) == (1, 1, 10)
    _assert_within_its_interval(row, "throughput_items_per_s", 4 * 1000 / (0.95 * 1 + 0.05 * 10))


def test_heavy_tail_is_reported_and_never_cut() -> None:
    generator = np.random.default_rng(5)
    times = (MS * (1 + generator.pareto(2.5, 40_000))).astype(np.int64)
    engine = ClockedEngine(draw(times))
    row = _measure(engine, min_calls=7_000, max_s=60.0)
    for share, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")):
        _assert_within_its_interval(row, name, (1 - share) ** (-1 / 2.5))
    assert _latency(row, "max") == max(row.samples_ns.tolist()) / MS  # type: ignore[union-attr]
    assert _latency(row, "max") > 3 * _latency(row, "p99")


def test_drifting_engine_is_measured_to_the_end_and_called_unstable() -> None:
    row = _measure(ClockedEngine(lambda number: int(MS * 1.002**number)))
    assert row.stable is False
    assert row.spread is not None
    assert row.spread > 0.10
    assert sum(row.samples_ns.tolist()) / 1e9 >= DEFAULT_PLAN.max_s  # type: ignore[union-attr]
    medians = [window["median_ms"] for window in row.windows]
    assert medians == sorted(medians)


def test_engine_that_settles_late_is_measured_until_three_windows_agree() -> None:
    # Slow for its first 600 calls: that is past the warm-up, and stays in the samples.
    row = _measure(ClockedEngine(lambda number: MS if number > 600 else 3 * MS // 2), min_s=0.9, max_s=9.0)
    assert row.stable is True
    assert len(row.windows) > 3
    assert _latency(row, "max") == 1.5
    assert [window["median_ms"] for window in row.windows[-3:]] == [1, 1, 1]


def test_warm_up_is_by_time_and_by_count() -> None:
    slow_start = ClockedEngine(lambda number: 100 * MS if number < 3 else MS)
    row = _measure(slow_start, warmup_calls=2, warmup_s=0.0)
    assert _latency(row, "max") == 1  # one checked call and two to warm up
    by_time = ClockedEngine(lambda number: MS)
    _measure(by_time, warmup_calls=1, warmup_s=0.25)
    assert by_time.calls >= 1 + 250 + 662


def test_every_counted_call_is_in_the_samples_and_no_other() -> None:
    generator = np.random.default_rng(11)
    times = generator.integers(MS // 2, 3 * MS, 50_000)
    engine = ClockedEngine(draw(times))
    row = _measure(engine, warmup_calls=5, warmup_s=0.0)
    counted, everything = row.samples_ns.tolist(), engine.all_ns  # type: ignore[union-attr]
    uncounted, places = len(everything) - len(counted), iter(everything)
    assert all(any(value == seen for seen in places) for value in counted)  # in order, each once
    # Two trials of made inputs (an engine that answers zeros is given a second one), the probe, the checked call of each
    # window, five to warm up, three after each turn.
    assert uncounted == 2 + 1 + len(row.windows) + 5 + 3 * (len(row.windows) - 1)


@settings(deadline=None, max_examples=12)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.05, 1.2),
    st.integers(1, 8),
)
def test_figures_of_any_lognormal_engine_are_the_known_ones_within_their_intervals(
    seed: int, sigma: float, median_ms: int
) -> None:
    times = median_ms * MS * np.exp(sigma * np.random.default_rng(seed).standard_normal(30_000))
    engine = ClockedEngine(draw(times.astype(np.int64)))
    row = _measure(engine, min_calls=1500, max_s=120.0)
    assert row.ci95 is not None
    for share, name in ((0.5, "p50"), (0.9, "p90")):
        truth = float(np.quantile(times, share)) / MS
        low, high = row.ci95[name]
        # Over dozens of random engines a 95 % interval misses some: four half-widths are for all of them.
        assert abs(truth - (low + high) / 2) <= 4 * (high - low) / 2 + 0.02 * truth
    samples = row.samples_ns
    assert samples is not None
    assert row.throughput_items_per_s == pytest.approx(4 * samples.size / (samples.sum() / 1e9))
    assert _latency(row, "p50") == float(np.quantile(samples, 0.5, method="inverted_cdf")) / MS


# --- turns -------------------------------------------------------------------------------------------------------


def test_variants_take_turns_window_by_window() -> None:
    clock, order = FakeClock(), []
    engines = {name: ClockedEngine(lambda _: MS, clock, provider=name) for name in ("cpu", "cuda")}
    for engine in engines.values():
        engine.order = order
    config = BenchConfig(providers=("cpu", "cuda"), batches=(1,))
    behaviour = {("ort", name): engine for name, engine in engines.items()}
    rows = run_bench(config, make_source(), opener=make_opener(behaviour)).rows
    assert [row.provider_active for row in rows] == ["cpu", "cuda"]
    assert order == [engines["cpu"], engines["cuda"]] * 3


def test_machine_that_slows_down_slows_all_variants_alike() -> None:
    # The clock of the machine: everything takes twice as long in its second half.
    clock = FakeClock()
    pace = lambda _: MS if clock.now_ns < 3e9 else 2 * MS  # noqa: E731
    behaviour = {("ort", name): ClockedEngine(pace, clock, provider=name) for name in ("cpu", "cuda")}
    config = BenchConfig(providers=("cpu", "cuda"), batches=(1,))
    first, second = run_bench(config, make_source(), opener=make_opener(behaviour)).rows
    assert first.throughput_items_per_s == pytest.approx(second.throughput_items_per_s, rel=0.15)


def test_one_worker_serves_every_batch_size_and_says_whose_first_call_was_the_process_own() -> None:
    opened: list[int] = []

    def open_one(_: Any) -> ClockedEngine:
        opened.append(1)
        return ClockedEngine(lambda number: 50 * MS if number == 0 else MS)

    rows = run_bench(BenchConfig(batches=(8, 1)), make_source(), opener=make_opener({("ort", "cpu"): open_one})).rows
    assert [row.batch for row in rows] == [8, 1]
    assert len(opened) == 3  # the trial of made inputs, the probe and the rows
    assert [(row.batch, row.settings["first_in_process"], row.cold["first_run_ms"]) for row in rows if row.cold] == [
        (8, False, 1),
        (1, True, 50),
    ]


# --- scenarios ---------------------------------------------------------------------------------------------------


def test_multi_stream_waits_for_the_last_of_those_that_came_together() -> None:
    row = _measure(ClockedEngine(lambda _: MS), scenario="multi-stream", streams=8, min_calls=70)
    assert (_latency(row, "p50"), _latency(row, "p90")) == (8, 8)
    assert row.throughput_items_per_s == pytest.approx(8 * 4 / 0.008)


def test_server_without_load_has_the_latency_of_a_call_and_the_throughput_of_the_arrivals() -> None:
    row = _measure(ClockedEngine(lambda _: MS), scenario="server", rate=5.0, min_s=300.0, max_s=3000.0)
    assert _latency(row, "p50") == pytest.approx(1, rel=0.001)
    assert row.throughput_items_per_s == pytest.approx(4 * 5.0, rel=0.1)


def test_server_latency_counts_from_the_scheduled_arrival_as_queueing_theory_has_it() -> None:
    # M/D/1 (Poisson arrivals, constant service s, utilisation u): the mean wait is u s / (2 (1 - u)).
    service_s, utilisation = 0.001, 0.8
    plan = {"scenario": "server", "rate": utilisation / service_s, "min_calls": 60_000, "min_s": 1.0, "max_s": 1e3}
    row = _measure(ClockedEngine(lambda _: MS), **plan)
    wait_ms = 1e3 * utilisation * service_s / (2 * (1 - utilisation))
    assert _latency(row, "mean") == pytest.approx(1 + wait_ms, rel=0.1)


def test_server_that_stalls_once_is_charged_for_all_who_waited() -> None:
    # One call of a second among calls of a millisecond: a loop that waits for answers would see one slow call only.
    stalling = ClockedEngine(lambda number: 1000 * MS if number == 500 else MS)
    row = _measure(stalling, scenario="server", rate=100.0, min_calls=1000, min_s=3, max_s=60, warmup_calls=1)
    samples = row.samples_ns
    assert samples is not None
    assert int((samples > 100 * MS).sum()) > 50


def test_server_that_cannot_keep_up_is_a_failed_row_that_says_how_many_it_serves() -> None:
    config = BenchConfig(batches=(1,), plan=MeasurePlan(scenario="server", rate=4000.0, max_s=2.0))
    engine = ClockedEngine(lambda _: MS)
    report = run_bench(config, make_source(), opener=make_opener({("ort", "cpu"): engine}))
    (row,) = report.rows
    assert row.status == "fail"
    assert "4000 calls a second are more than it serves: 1,0" in row.reason
    assert report.failed


def test_offline_keeps_several_calls_in_flight() -> None:
    import threading
    import time

    from toolkit.runtimes.timing.loop import measure

    together, most, lock = 0, 0, threading.Lock()

    class Sleeper:
        info = make_info()
        notes: tuple[str, ...] = ()

        def run(self, feeds: Any) -> None:
            time.sleep(0.001)

        def prepare(self, feeds: Any, *, boundary: str) -> Any:
            return self._call

        def _call(self) -> None:
            nonlocal together, most
            with lock:
                together += 1
                most = max(most, together)
            time.sleep(0.002)
            with lock:
                together -= 1

    plan = MeasurePlan(scenario="offline", runs_at_once=3, warmup_calls=1, warmup_s=0, min_calls=60, min_s=0, max_s=5)
    window = measure(Sleeper(), {}, plan=plan)  # type: ignore[arg-type]  # a fake
    assert most == 3
    assert window.samples_ns.size == window.gaps_ns.size >= 60
    assert window.gaps_ns.sum() < window.samples_ns.sum() / 2


# --- how long ----------------------------------------------------------------------------------------------------


@given(st.floats(0.05, 10), st.integers(1, 5000), st.integers(1, 400))
def test_no_plan_is_measured_much_longer_than_its_longest_time(max_s: float, min_calls: int, call_ms: int) -> None:
    plan = MeasurePlan(min_calls=min_calls, min_s=min(1.0, max_s), max_s=max_s, warmup_calls=0, warmup_s=0)
    counted, done = 0.0, []
    while (window := next_window(plan, done)) is not None:
        calls = 0
        while True:
            calls += 1
            elapsed = calls * call_ms / 1e3
            if elapsed >= window.min_s and (calls >= window.min_calls or elapsed >= window.max_s):
                break
        times = np.full(calls, call_ms * MS, np.int64)
        done.append(type("W", (), {"samples_ns": times, "gaps_ns": times})())
        counted += elapsed
    assert done
    assert counted <= max_s + 2 * call_ms / 1e3
    assert counted >= min(max_s, plan.min_s) - 1e-9


def test_engine_info_of_the_worker_is_what_a_row_tells() -> None:
    engine = ClockedEngine(lambda _: MS)
    engine.info = make_info("cpu", placement={"cpu": 3, "cuda": 1})
    assert _measure(engine).settings["placement"] == {"cpu": 3, "cuda": 1}
