"""The same window driven by MLPerf LoadGen itself, in the worker: it decides when to call and when a call has ended."""

from __future__ import annotations

__all__ = ["read_trace", "run_loadgen"]

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError, ResourceError
from toolkit.runtimes.timing.plan import Loop, MeasurePlan

FEW_CALLS = 3
INSTALL = "pip install 'onnx-parity-toolkit[loadgen]'"
SCENARIO_NAMES = {
    "single-stream": "SingleStream",
    "multi-stream": "MultiStream",
    "server": "Server",
    "offline": "Offline",
}


def run_loadgen(call: Callable[[], object], plan: MeasurePlan) -> Loop:
    """Let LoadGen issue calls, one after another, and read back what it timed.

    Args:
        call: one call of the engine.
        plan: scenario, least and most time and count; a LoadGen sample is one call.

    Raises:
        ResourceError: LoadGen is not installed.
        ModelError: the engine failed in a call, or LoadGen left no trace.
    """
    try:
        import mlperf_loadgen
    except ImportError as error:
        raise ResourceError(f"LoadGen is not installed ({error}); install it with: {INSTALL}") from error
    failures: list[Exception] = []

    complete, answer = mlperf_loadgen.QuerySamplesComplete, mlperf_loadgen.QuerySampleResponse

    def issue(identifiers: Iterable[int], _: object) -> None:
        for identifier in identifiers:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - it may not pass through LoadGen's C++; told below
                failures.append(error)
            complete([answer(identifier, 0, 0)])

    with tempfile.TemporaryDirectory() as folder:
        system = mlperf_loadgen.ConstructFastSUT(issue, _nothing)
        library = mlperf_loadgen.ConstructQSL(1, 1, _nothing, _nothing)
        try:
            settings = _make_settings(mlperf_loadgen, plan, call=call)
            mlperf_loadgen.StartTestWithLogSettings(system, library, settings, _make_log(mlperf_loadgen, folder), "")
        finally:
            mlperf_loadgen.DestroyQSL(library)
            mlperf_loadgen.DestroyFastSUT(system)
        if failures:
            raise ModelError(f"the engine failed under LoadGen: {failures[0]}") from failures[0]
        return read_trace((Path(folder) / "mlperf_log_trace.json").read_text(), plan.scenario)


def read_trace(text: str, scenario: str) -> Loop:
    """Read the latency of every query from LoadGen's trace.

    Args:
        text: `mlperf_log_trace.json`: events `Sample` with `complete_ns`, counted from the moment the sample was
            issued, or, in `server`, scheduled.
        scenario: a query of `multi-stream` has ended when its last sample has; of `offline`, each call is a sample.

    Raises:
        ModelError: there is no sample in it.
    """
    lines = [line.rstrip(",\n ") for line in text.splitlines() if '"name":"Sample"' in line and '"ph":"b"' in line]
    events = [json.loads(line) for line in lines]
    if not events:
        raise ModelError("LoadGen left no samples in its trace")
    queries: dict[int, tuple[float, int]] = {}
    for event in events:
        told = event["args"]
        end = event["ts"] * 1e3 + told["complete_ns"]
        key = told["sample_seq"] if scenario == "offline" else told["query_seq"]
        known = queries.get(key, (0.0, 0))
        queries[key] = (max(end, known[0]), max(told["complete_ns"], known[1]))
    ordered = sorted(queries.values())
    start = min(event["ts"] for event in events) * 1e3
    gaps = [round(after - before) for before, after in pairwise([start, *(end for end, _ in ordered)])]
    return Loop(gaps if scenario == "offline" else [latency for _, latency in ordered], gaps)


def _make_settings(mlperf_loadgen: Any, plan: MeasurePlan, *, call: Callable[[], object]) -> Any:
    settings = mlperf_loadgen.TestSettings()
    settings.scenario = getattr(mlperf_loadgen.TestScenario, SCENARIO_NAMES[plan.scenario])
    settings.mode = mlperf_loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = max(round(plan.min_s * 1e3), 1)
    settings.max_duration_ms = max(round(plan.max_s * 1e3), 1)
    settings.min_query_count = plan.min_calls
    settings.schedule_rng_seed = plan.seed + 1
    # LoadGen makes its queries in advance, as many as it expects to need: half the time of a call fills the window.
    call_ns = _time_call(call)
    if plan.scenario == "server":
        settings.server_target_qps = plan.rate
    elif plan.scenario == "single-stream":
        settings.single_stream_expected_latency_ns = max(call_ns // 2, 1)
    elif plan.scenario == "multi-stream":
        settings.multi_stream_samples_per_query = plan.streams
        settings.multi_stream_expected_latency_ns = max(call_ns * plan.streams // 2, 1)
    elif plan.scenario == "offline":
        # One query with everything: it takes as long as its calls take.
        settings.offline_expected_qps = 1e9 / call_ns
        settings.min_query_count = 1
    return settings


def _time_call(call: Callable[[], object]) -> int:
    """Return the nanoseconds of the shortest of a few calls."""
    taken = []
    for _ in range(FEW_CALLS):
        start = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - start)
    return max(min(taken), 1)


def _make_log(mlperf_loadgen: Any, folder: str) -> Any:
    output = mlperf_loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    log = mlperf_loadgen.LogSettings()
    log.log_output, log.enable_trace = output, True
    # Its logger's own thread would share the cores with the engine; this one writes when the test is over.
    log.log_mode = mlperf_loadgen.LoggingMode.EndOfTestOnly
    return log


def _nothing(*_: object) -> None:
    """Stand where LoadGen wants a callback and nothing has to be done."""
