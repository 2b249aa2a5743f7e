"""Which rate is tried next, when a rate holds, whose fault it is when it does not, and what the row says of it."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_samples import make_config, make_opener, make_source, run_bench
from fake_engine import FakeEngine, make_info
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from toolkit.bench.compare import compare_results, parse_threshold
from toolkit.bench.measuring.capacity import RUNS, bracket, list_rates, next_run
from toolkit.bench.report import BenchReport, read_result
from toolkit.durable import write_json
from toolkit.errors import UsageError
from toolkit.plots.bench import draw_bench
from toolkit.render.bench import render_bench
from toolkit.runtimes.timing.plan import MeasurePlan, Window

PLAN = MeasurePlan(scenario="capacity", max_p99_ms=20.0, driver="loadgen", min_s=1.0, max_s=1.0)


def make_window(
    rate: float | None,
    *,
    count: int = 1000,
    late: int = 0,
    lag_ms: float = 0.0,
    refused: int = 0,
    failed: int = 0,
    share: float = 0.1,
    seconds: float = 1.0,
) -> Window:
    """`count` answers in so many seconds, of which `late` took twice the limit, and what was missed."""
    samples = np.full(count, 5_000_000, np.int64)
    samples[:late] = 40_000_000
    lags = np.zeros(count, np.int64)
    lags[:late] = round(lag_ms * 1e6)
    gaps = np.full(count, round(seconds * 1e9 / max(count, 1)), np.int64)
    facts = {"rate": rate, "refused": refused, "failed": failed, "own_cpu_s": share, "elapsed_s": 1.0}
    return Window(1_000, samples, gaps, facts, lags)


def search(capacity: float, *, closed: float = 1000.0, noisy: tuple[int, ...] = ()) -> list[Window]:
    """Search a server that holds every rate up to its capacity; runs with these numbers miss all the same."""
    done: list[Window] = []
    while (plan := next_run(PLAN, done)) is not None:
        if plan.rate is None:
            done.append(make_window(None, count=round(closed)))
        else:
            misses = plan.rate > capacity or len(done) in noisy
            done.append(make_window(plan.rate, late=100 if misses else 0))
        assert len(done) < 100
    return done


@given(st.floats(30, 5000))
def test_capacity_lies_between_the_rate_that_holds_and_the_one_that_does_not(capacity: float) -> None:
    held, missed = bracket(list_rates(PLAN, search(capacity)))
    assert held is not None
    assert missed is not None
    assert held.rate <= capacity < missed.rate <= held.rate * 1.06
    assert len(held.runs) == RUNS


@given(st.floats(30, 3000), st.sets(st.integers(1, 25), max_size=6))
def test_noise_never_raises_a_capacity(capacity: float, noisy: set[int]) -> None:
    held, _ = bracket(list_rates(PLAN, search(capacity, noisy=tuple(noisy))))
    assert held is None or held.rate <= capacity


def test_rate_that_misses_one_of_its_runs_does_not_hold_and_is_not_tried_again() -> None:
    done = [make_window(None), make_window(750.0), make_window(750.0), make_window(750.0, late=100)]
    assert list_rates(PLAN, done)[0].verdict == "misses"
    following = next_run(PLAN, done)
    assert following is not None
    assert following.rate == 375


def test_runs_of_a_rate_have_other_arrivals() -> None:
    seeds = set()
    done = [make_window(None)]
    for _ in range(RUNS):
        plan = next_run(PLAN, done)
        assert plan is not None
        assert (plan.scenario, plan.rate, plan.max_p99_ms, plan.min_s) == ("server", 750.0, None, 1.0)
        seeds.add(plan.seed)
        done.append(make_window(750.0))
    assert len(seeds) == RUNS


@pytest.mark.parametrize(
    ("window", "verdict"),
    [
        (make_window(750.0, late=10), "open"),  # 1 % is allowed
        (make_window(750.0, late=11), "misses"),
        (make_window(750.0, refused=11), "misses"),
        (make_window(750.0, failed=11), "misses"),
        (make_window(750.0, refused=5, failed=5), "open"),
        (make_window(750.0, count=500), "misses"),  # too few for a p99
        (make_window(750.0, late=100, lag_ms=25), "client"),
        (make_window(750.0, late=100, lag_ms=15), "misses"),  # without its lag they were late, too
        (make_window(750.0, late=100, share=0.95), "client"),
        (make_window(750.0, refused=100, share=0.5), "misses"),
        (make_window(750.0, share=0.95), "open"),  # at its end, and it holds all the same
    ],
)
def test_run_holds_by_what_arrived_and_its_miss_is_told_from_the_client_s(window: Window, verdict: str) -> None:
    assert list_rates(PLAN, [make_window(None), window])[0].verdict == verdict


def test_percentiles_count_what_was_missed_as_later_than_all() -> None:
    (rate,) = list_rates(PLAN, [make_window(None), make_window(750.0, count=990, refused=5, failed=15)])
    assert rate.runs[0].p50_ms == 5.0
    assert rate.runs[0].p99_ms is None
    assert (rate.runs[0].offered, rate.runs[0].refused, rate.runs[0].failed) == (1010, 5, 15)


@pytest.mark.parametrize("closed", [0, 5])
def test_server_that_answers_nothing_or_hardly_anything_is_not_searched(closed: int) -> None:
    assert next_run(PLAN, [make_window(None, count=closed)]) is None


class FakeServer(FakeEngine):
    """Holds 700 requests a second."""

    def __init__(self, capacity: float = 700.0, closed: int = 1000, **changes: Any) -> None:
        super().__init__(make_info("remote", runtime="oip-http"))
        self._capacity, self._closed, self._changes = capacity, closed, changes

    def measure(self, feeds: Any, plan: Any) -> Window:
        if plan.rate is None:
            return make_window(None, count=self._closed)
        return make_window(plan.rate, **(self._changes if plan.rate > self._capacity else {}))


def measure(**changes: Any) -> BenchReport:
    opener = make_opener({("oip-http", "remote"): lambda _: FakeServer(**changes)})
    config = make_config(runtimes=("oip-http",), at="http://127.0.0.1:1", plan=PLAN, batches=(4,))
    return run_bench(config, make_source(), opener=opener)


def test_row_of_a_capacity_is_of_its_rate_and_tells_every_other() -> None:
    (row,) = measure(late=100).rows
    assert row.status == "pass", row.reason
    assert row.rates is not None
    low = max(rate["rate"] for rate in row.rates if rate["verdict"] == "holds")
    high = min(rate["rate"] for rate in row.rates if rate["verdict"] == "misses")
    assert low <= 700 < high
    assert row.throughput_items_per_s == 4 * low
    assert row.ci95 is not None
    assert row.ci95["throughput_items_per_s"] == [4 * low, 4 * high]
    assert row.samples == RUNS * 1000
    assert row.latency_ms is not None
    assert row.latency_ms["p99"] == 5.0
    assert row.answers == {"offered": RUNS * 1000, "refused": 0, "failed": 0, "first_missed": ""}
    assert row.client == pytest.approx({"cpu_share": 0.1, "lag_p99_ms": 0.0, "lag_max_ms": 0.0})


def test_capacity_that_the_client_limits_is_at_least_what_held() -> None:
    (row,) = measure(late=100, lag_ms=30.0).rows
    assert row.status == "pass"
    assert "throughput_items_per_s" not in (row.ci95 or {})
    assert any("it was the client that could not keep up" in note for note in row.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capacity": 0.0, "late": 100}, "no rate that was tried holds 20 ms; at the lowest, 23.5 requests a second"),
        ({"capacity": 0.0, "count": 800, "refused": 200}, "over 1 % have no answer (200 of 1000 refused, 0 failed)"),
        ({"capacity": 0.0, "late": 100, "lag_ms": 30.0}, "the client itself is too slow at 23.5 requests a second"),
        ({"closed": 0}, "no request was answered"),
        ({"closed": 5}, "it answers 5 requests in 1 s, too few for a p99 of 662 in a minute"),
    ],
)
def test_server_without_a_capacity_is_a_failed_row(changes: dict[str, Any], words: str) -> None:
    report = measure(**changes)
    assert report.rows[0].status == "fail"
    assert words in report.problem
    assert "".join(str(part) for part in render_bench(report))
    draw_bench([report.to_json()])


def test_two_capacities_are_compared_by_the_rates_between_which_they_lie(tmp_path: Path) -> None:
    results = []
    for name, capacity in (("old.json", 700.0), ("new.json", 350.0)):
        write_json(tmp_path / name, measure(capacity=capacity, late=100).to_json())
        results.append(read_result(tmp_path / name))
    compare = functools.partial(compare_results, names=("old", "new"))
    condition = (parse_threshold("throughput<-10%"),)
    assert len(compare(*results, thresholds=condition).regressions) == 1
    assert compare(results[0], results[0], thresholds=condition).changes[0].verdicts == {"throughput<-10%": "fine"}
    draw_bench(results)


def test_screen_tells_every_rate_with_its_runs() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    for part in render_bench(measure(late=100)):
        console.print(part)
    text = " ".join(console.export_text().split())
    assert "capacity, latency from the scheduled arrival, 99 % within 20 ms, host to host every row" in text
    assert "too slow" in text
    assert text.count("holds") >= 3
    assert "3,000 requests, 0 without an answer; the client used 10% of a core" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan": PLAN}, "capacity is a server's, and ort runs here"),
        (
            {"plan": PLAN, "runtimes": ("oip-http", "ort"), "at": "http://a"},
            "capacity is a server's, and ort runs here",
        ),
        (
            {
                "plan": MeasurePlan(scenario="server", rate=100.0),
                "runtimes": ("oip-http",),
                "at": "http://a",
            },
            "arrivals at a server are issued by LoadGen, not toolkit",
        ),
    ],
)
def test_capacity_without_a_server_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_config(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scenario": "capacity"}, "needs a limit"),
        ({"max_p99_ms": 20.0}, "needs a limit, and no other one takes it"),
        ({"scenario": "capacity", "max_p99_ms": 0.0}, "--max-p99-ms is 0"),
        ({"scenario": "capacity", "max_p99_ms": float("inf")}, "--max-p99-ms is inf"),
    ],
)
def test_limit_that_is_none_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        MeasurePlan(**changes)
