"""`bench --auto`: everything is tried, the best under the limit is chosen, and what cannot be had is said."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bench_samples import make_source
from clocked import ClockedEngine
from fake_engine import FakeEngine, make_info
from rich.console import Console

from toolkit.bench.auto import Goal, search_settings
from toolkit.bench.config import BenchConfig
from toolkit.bench.report import BenchReport
from toolkit.errors import ModelError, ProviderError, UsageError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.render.bench import tried_table
from toolkit.runtimes.base import RuntimeSettings

MS = 1_000_000
# Milliseconds of a call: fixed + each * batch, by provider; more threads divide the second part.
TIMES = {"cpu": (0.1, 0.1), "openvino": (0.4, 0.02)}


class BatchedEngine(ClockedEngine):
    """Takes a time that depends on its batch."""

    def __init__(self, settings: RuntimeSettings, slow_share: float) -> None:
        super().__init__(self._take, provider=settings.provider)
        self._fixed, self._each = TIMES[settings.provider]
        self._threads, self._slow_share, self._batch = max(settings.threads, 1), slow_share, 1

    def measure(self, feeds: Any, plan: Any) -> Any:
        self._batch = len(feeds["images"])
        return super().measure(feeds, plan)

    def _take(self, number: int) -> int:
        slow = 20 if self._slow_share and number % round(1 / self._slow_share) == 0 else 1
        return int(slow * (self._fixed + self._each * self._batch / self._threads) * MS)


def make_opener(slow: dict[str, float] | None = None, failing: str = "") -> Callable[..., Any]:
    def open_engine(_: Any, settings: RuntimeSettings, **__: Any) -> Any:
        if settings.provider not in TIMES or settings.provider == failing:
            raise ProviderError(f"provider {settings.provider} is not active: no lib")
        return BatchedEngine(settings, (slow or {}).get(settings.provider, 0.0))

    return open_engine


def _search(goal: Goal, opener: Any = None, **changes: Any) -> BenchReport:
    config = BenchConfig(**{"providers": ("all",), **changes})
    return search_settings(config, goal, source=make_source(), command="c", opener=opener or make_opener())


def _chosen(report: BenchReport) -> tuple[str | None, int | None]:
    assert report.chosen is not None
    row = report.rows[report.chosen["row"]]
    return row.provider_active, row.batch


def test_lowest_latency_and_highest_throughput_are_different_settings() -> None:
    assert _chosen(_search(Goal(objective="latency"))) == ("cpu", 1)
    assert _chosen(_search(Goal(objective="throughput"))) == ("openvino", 512)


def test_what_was_tried_is_told_the_best_first_and_fits_80_columns() -> None:
    report = _search(Goal(objective="throughput"))
    rates = [tried.throughput_items_per_s or 0.0 for tried in report.tried]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == len(TIMES) * 5 * len({tried.threads for tried in report.tried})
    assert report.tried[0].is_finalist
    assert not report.tried[-1].is_finalist
    assert report.to_json()["tried"][0]["provider"] == "openvino"
    console = Console(width=80, file=io.StringIO())
    console.print(*tried_table(report), sep="\n")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{rates[0]:,.0f}" in text
    assert "…" not in text
    assert tried_table(replace(report, tried=())) == []


def test_limit_of_p99_takes_the_largest_batch_that_keeps_it() -> None:
    # openvino: 0.4 + 0.02 n / threads; 3 ms allow 128 with one thread and with two.
    report = _search(Goal(objective="throughput", max_p99_ms=3.0))
    assert _chosen(report) == ("openvino", 128)


def test_variant_with_a_bad_tail_is_passed_over() -> None:
    goal = Goal(objective="throughput", max_p99_ms=30.0)
    assert _chosen(_search(goal)) == ("openvino", 512)
    # Three calls of a hundred are twenty times as long: its p99 is over any useful limit.
    with_tail = _search(goal, make_opener({"openvino": 0.03}))
    provider, batch = _chosen(with_tail)
    assert (provider, batch) != ("openvino", 512)


def test_limit_that_nobody_keeps_is_said_with_the_nearest() -> None:
    report = _search(Goal(objective="latency", max_p99_ms=0.01))
    assert report.chosen is None
    assert report.problem.startswith("no setting answers 99 % of the calls within 0.01 ms; the nearest is ort on cpu")
    assert report.to_json()["passed"] is False


def test_what_is_not_here_is_a_skipped_row_and_the_rest_is_searched() -> None:
    report = _search(Goal(objective="throughput"), make_opener(failing="openvino"))
    provider, _ = _chosen(report)
    assert provider == "cpu"
    assert {row.provider_requested for row in report.rows if row.status == "skip"} == {"cuda", "tensorrt", "openvino"}


def test_refusals_of_engines_that_nobody_named_do_not_spoil_a_search_that_found_its_answer() -> None:
    def open_engine(source: Any, settings: RuntimeSettings, **_: Any) -> Any:
        if settings.runtime == "opencv":
            raise ModelError("OpenCV refuses the model: no such operator")
        return make_opener()(source, settings)

    searched = _search(Goal(), open_engine, runtimes=("ort", "all"), providers=("cpu",))
    assert ("opencv", "refused") in {(row.runtime, row.status) for row in searched.rows}
    assert (searched.problem, searched.to_json()["passed"]) == ("", True)
    assert _search(Goal(), open_engine, runtimes=("ort", "opencv"), providers=("cpu",)).problem


def test_provider_that_was_named_is_not_skipped() -> None:
    with pytest.raises(ProviderError, match="no lib"):
        _search(Goal(), providers=("cuda",))


def test_settings_to_copy_open_the_chosen_session() -> None:
    report = _search(Goal(objective="latency"))
    assert report.chosen is not None
    compile(report.chosen["settings"], "snippet", "exec")
    assert "CPUExecutionProvider" in report.chosen["settings"]
    assert "'tiny.onnx'" in report.chosen["settings"]
    other = _search(Goal(objective="throughput"))
    assert other.chosen is not None
    words = shlex.split(other.chosen["settings"])
    assert words[:4] == ["toolkit", "predict", "tiny.onnx", "IMAGES"]
    assert words[words.index("--batch") + 1] == "512"


@pytest.mark.parametrize("changes", [{"objective": "speed"}, {"max_p99_ms": 0.0}, {"max_p99_ms": float("nan")}])
def test_goal_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Goal(**changes)


def test_a_file_that_takes_one_batch_size_only_is_searched_with_that() -> None:
    fixed = make_info(inputs=(TensorSpec(name="images", dtype="uint8", shape=(4, 8, 8)),))
    report = _search(
        Goal(objective="throughput"), lambda *_, **__: FakeEngine(fixed), runtimes=("ort",), providers=("cpu",)
    )
    assert {row.batch for row in report.rows} == {4}
    assert report.chosen is not None
