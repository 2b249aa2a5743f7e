"""`toolkit compare`: which changes are regressions, which cannot be told, and what may not be compared at all."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bench.compare import Threshold, compare_results, parse_threshold
from toolkit.bench.report import read_result
from toolkit.bench.statistics import THROUGHPUT, bootstrap_intervals, summarise
from toolkit.errors import DataError, UsageError
from toolkit.render.comparison import render_comparison


def make_row(samples_ns: np.ndarray, *, batch: int = 8, **changes: Any) -> dict[str, Any]:
    summary = summarise(samples_ns, items=batch)
    return {
        "scenario": "single-stream",
        "boundary": "host",
        "io_binding": False,
        "runtime": "ort",
        "provider_active": "cpu",
        "precision": "fp32",
        "batch": batch,
        "threads": 0,
        "status": "pass",
        "settings": {"optimisation": "all", "tf32": False, "feeds": "golden", "plan": {"max_s": 3.5}},
        "latency_ms": summary.latency_json(),
        "throughput_items_per_s": summary.throughput_items_per_s,
        "ci95": bootstrap_intervals(samples_ns, items=batch),
        **changes,
    }


def make_result(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "toolkit/bench/1",
        "environment": {
            "platform": {"machine": "x86_64"},
            "cpu": {"model": "A", "logical_cores": 2, "quota_cores": None},
            "packages": {"onnxruntime": "1.31.1"},
            "gpus": None,
        },
        "model": {"path": "m.onnx", "sha256": "00"},
        "rows": list(rows),
    }


def samples(scale: float = 1.0, *, seed: int = 0, count: int = 2000) -> np.ndarray:
    return (np.random.default_rng(seed).gamma(50, 20_000 * scale, count)).astype(np.int64)


def compare(old: dict[str, Any], new: dict[str, Any], *texts: str, allow: set[str] | None = None) -> Any:
    thresholds = tuple(parse_threshold(text) for text in texts)
    return compare_results(old, new, names=("old", "new"), thresholds=thresholds, allow=frozenset(allow or ()))


def verdict(scale: float, text: str, *, count: int = 2000) -> str:
    old, new = make_row(samples(count=count)), make_row(samples(scale, seed=1, count=count))
    (change,) = compare(make_result(old), make_result(new), text).changes
    return str(change.verdicts[text])


@pytest.mark.parametrize(
    ("scale", "text", "expected"),
    [
        (1.2, "p50>+5%", "regression"),
        (1.2, "p99>+5%", "regression"),
        (1.2, "throughput<-3%", "regression"),
        (1.0, "p50>+5%", "fine"),
        (1.0, "throughput<-3%", "fine"),
        (0.8, "p50>+5%", "fine"),
        (0.8, "throughput<-3%", "fine"),
        (1.05, "p50>+5%", "open"),
        (1.03, "throughput<-3%", "open"),
    ],
)
def test_intervals_decide(scale: float, text: str, expected: str) -> None:
    assert verdict(scale, text) == expected


def test_a_busy_machine_decides_nothing() -> None:
    old, new = make_row(samples(), stable=True), make_row(samples(1.5, seed=1), stable=False)
    for first, second in ((old, new), (new, old)):
        comparison = compare(make_result(first), make_result(second), "p50>+5%")
        assert comparison.changes[0].verdicts == {"p50>+5%": "unstable"}
        assert (comparison.regressions, len(comparison.undecided)) == ((), 1)
        assert "cannot be decided" in str(render_comparison(comparison)[-1])


def test_few_samples_leave_it_open_what_many_decide() -> None:
    assert verdict(1.08, "p50>+5%", count=60) == "open"
    assert verdict(1.08, "p50>+5%", count=20_000) == "regression"


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(-0.5, 0.5))
def test_a_verdict_follows_from_the_whole_interval(one: float, other: float, change: float) -> None:
    low, high = sorted((one, other))
    for is_rise in (True, False):
        threshold = Threshold(text="", metric="p50", is_rise=is_rise, change=change)
        answers = {bool(value > 1 + change if is_rise else value < 1 + change) for value in (low, high)}
        assert threshold.judge(low, high) == (answers.pop() if len(answers) == 1 else None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99", "cannot read"),
        ("p99>5%", "cannot read"),
        ("p99>=+5%", "cannot read"),
        ("p98>+5%", "unknown metric 'p98'"),
        ("p99<+5%", "no change at all"),
        ("throughput<-100%", "no change at all"),
    ],
)
def test_conditions_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        (("environment", "cpu", "model"), "B", "machine"),
        (("environment", "gpus"), [{"name": "G"}], "machine"),
        (("model", "sha256"), "11", "model"),
        (("rows", 0, "settings", "tf32"), True, "settings"),
        (("rows", 0, "settings", "plan"), {"max_s": 1}, "settings"),
    ],
)
def test_what_differs_is_refused_unless_told(path: tuple[Any, ...], value: Any, kind: str) -> None:
    old = make_result(make_row(samples()))
    new = copy.deepcopy(old)
    place = new
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(UsageError, match=f"--allow {kind}"):
        compare(old, new)
    assert len(compare(old, new, allow={kind}).differences) == 1
    other = {"machine", "model", "settings"} - {kind}
    with pytest.raises(UsageError, match=f"--allow {kind}"):
        compare(old, new, allow=other)


def test_other_versions_are_said() -> None:
    old = make_result(make_row(samples()))
    new = copy.deepcopy(old)
    new["environment"]["packages"]["onnxruntime"] = "1.32.0"
    assert compare(old, new).differences == ("onnxruntime was 1.31.1, is 1.32.0",)


def test_rows_that_are_gone_or_failed_are_regressions_and_new_ones_are_told() -> None:
    first, second, third = (make_row(samples(), batch=batch) for batch in (1, 8, 32))
    failed = {**second, "status": "fail", "reason": "it crashed", "latency_ms": None, "ci95": None}
    comparison = compare(make_result(first, second), make_result(failed, third))
    assert [change.problem for change in comparison.regressions] == [
        "the new result has no such row",
        "fail: it crashed",
    ]
    assert [row["batch"] for row in comparison.added] == [32]
    assert not comparison.to_json()["passed"]
    skipped = {**failed, "status": "skip", "reason": "not installed", "batch": 32}  # as before: nothing is told of it
    mended = compare(make_result(failed, first, skipped), make_result(first, second))
    assert (mended.regressions, [row["batch"] for row in mended.added]) == ((), [8])
    assert [text.partition(": ")[2] for text in mended.differences] == [
        "row ort on cpu, fp32, batch 8, threads 0 failed and is compared with nothing: it crashed"
    ]
    refused = {**failed, "status": "refused", "reason": "no such operator"}
    (told,) = compare(make_result(refused, first), make_result(first)).differences
    assert told.endswith("batch 8, threads 0 was refused and is compared with nothing: no such operator")
    with pytest.raises(UsageError, match="no row that passed"):
        compare(make_result(failed), make_result(first))


def test_a_row_that_crashed_is_told_with_its_reason_although_no_provider_was_active_any_more() -> None:
    row = make_row(samples(), provider_requested="cpu")
    crash = {"provider_active": None, "status": "fail", "reason": "crashed (exit code -11)"}
    crashed = {**row, **crash, "latency_ms": None, "ci95": None}
    fell_back = {**row, "provider_requested": "cuda", "fallback": True}
    crashed_there = {**crashed, "provider_requested": "cuda", "reason": "ran out of memory"}
    for before, after, reason in ((row, crashed, "crashed (exit code -11)"), (fell_back, crashed_there, "memory")):
        for others in ((), (make_row(samples(), batch=32),)):
            (change,) = compare(make_result(before), make_result(*others, after)).changes
            assert change.problem.startswith("fail: ")
            assert reason in change.problem
    (change,) = compare(make_result(row), make_result(crashed_there)).changes
    assert change.problem == "the new result has no such row"


@pytest.mark.parametrize("swapped", [False, True])
def test_two_rows_of_one_identity_are_refused_whatever_their_order(swapped: bool) -> None:
    one, other = (make_row(samples(scale), provider_requested="cpu") for scale in (1.0, 9.0))
    rows = (other, one) if swapped else (one, other)
    for old, new, name in (((one,), rows, "new"), (rows, (one,), "old")):
        with pytest.raises(UsageError, match=f"{name} has 2 times the row ort on cpu, fp32, batch 8, threads 0"):
            compare(make_result(*old), make_result(*new))


def test_a_row_that_fell_back_stands_beside_the_one_that_was_asked_for() -> None:
    """`--provider cpu,cuda --allow-fallback` where CUDA does not work: both ran on the CPU."""
    asked = make_row(samples(), provider_requested="cpu")
    fell_back = make_row(samples(2.0), provider_requested="cuda")
    for old, new in (((asked, fell_back), (fell_back, asked)), ((asked, fell_back), (asked, fell_back))):
        changes = compare(make_result(*old), make_result(*new)).changes
        assert [change.ratios["p50"]["point"] for change in changes] == [1.0, 1.0]


def test_a_condition_without_intervals_is_refused() -> None:
    old = make_result(make_row(samples(count=100)))
    with pytest.raises(UsageError, match=r"no interval of p99"):
        compare(old, old, "p99>+5%")


def test_files_that_are_no_results_are_refused(tmp_path: Path) -> None:
    for text in ("", "[]", '{"schema": "toolkit/parity/1"}', '{"schema": "toolkit/bench/1", "rows": [{}]}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError):
            read_result(tmp_path / "x.json")


def test_the_command_is_a_gate(tmp_path: Path) -> None:
    for name, scale in (("old", 1.0), ("same", 1.0), ("slow", 1.3)):
        (tmp_path / f"{name}.json").write_text(json.dumps(make_result(make_row(samples(scale, seed=len(name))))))

    def run(new: str, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "toolkit", "compare", "old.json", f"{new}.json", *more]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    gates = ("--fail-if", "p99>+5%", "--fail-if", "throughput<-3%")
    assert run("same", *gates).returncode == 0
    slow = run("slow", *gates)
    assert (slow.returncode, "1 of 1 row got worse: p99>+5%" in slow.stderr) == (1, True)
    report = json.loads(run("slow", "--json").stdout)
    assert (report["schema"], report["passed"]) == ("toolkit/comparison/1", True)  # nothing was asked
    assert run("slow", "--fail-if", "p99").returncode == 2
    assert run("slow", "--allow", "modle").returncode == 2
    assert run("gone").returncode == 2


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_intervals_hold_the_truth_about_as_often_as_they_say(share: float) -> None:
    """Also where neighbouring calls resemble one another, as they do on a busy machine."""
    held = {"p50": 0, THROUGHPUT: 0}
    rounds = 60
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        noise, level, values = rng.normal(size=1500), 0.0, []
        for value in noise:
            level = share * level + np.sqrt(1 - share**2) * value
            values.append(level)
        times = np.exp(np.array(values) * 0.2 + np.log(1e6))
        intervals = bootstrap_intervals(times.astype(np.int64), items=1)
        held["p50"] += intervals["p50"][0] <= 1.0 <= intervals["p50"][1]
        truth = 1e9 / (1e6 * np.exp(0.02))
        held[THROUGHPUT] += intervals[THROUGHPUT][0] <= truth <= intervals[THROUGHPUT][1]
    for count in held.values():
        assert count / rounds > 0.85


def test_too_few_samples_have_no_interval() -> None:
    assert bootstrap_intervals(samples(count=10), items=1) == {}
    assert set(bootstrap_intervals(samples(count=70), items=1)) == {"p50", "p90", THROUGHPUT}
