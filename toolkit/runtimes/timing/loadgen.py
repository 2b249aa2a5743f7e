"""The same window driven by MLPerf LoadGen itself, in the worker: it decides when to call and when a call has ended."""

from __future__ import annotations

__all__ = ["import_loadgen", "read_trace", "run_loadgen"]

import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import ModelError
from toolkit.programs import import_extra
from toolkit.runtimes.query import Missed, Query, Sender
from toolkit.runtimes.timing.plan import Loop, MeasurePlan

FEW_CALLS = 3
# Of as many calls as are under way at once: enough to know a rate by.
BURSTS = 8
SCENARIO_NAMES = {
    "single-stream": "SingleStream",
    "multi-stream": "MultiStream",
    "server": "Server",
    "offline": "Offline",
}


def import_loadgen() -> Any:
    """Return LoadGen.

    Raises:
        ResourceError: it is not installed.
    """
    return import_extra("mlperf_loadgen", extra="loadgen", user="LoadGen's driver")


def run_loadgen(
    call: Callable[[], object], plan: MeasurePlan, *, sender: Sender | None = None, name: str = "an engine"
) -> Loop:
    """Let LoadGen issue queries and read back what it timed.

    Args:
        call: one call of the engine.
        plan: scenario, least and most time and count; a LoadGen sample is one call.
        sender: begins calls without waiting for those before, by a network; without one, each is made as it is issued.
        name: of what is asked, for LoadGen's log.

    Returns:
        What was answered; in `offline` a sample is the time of a call, from its own start.

    Raises:
        ResourceError: LoadGen is not installed.
        ModelError: the engine failed in a call, or LoadGen left no trace.
    """
    mlperf_loadgen = import_loadgen()
    issued = _Issued(mlperf_loadgen, sender or _Caller(call))
    with tempfile.TemporaryDirectory() as folder:
        # LoadGen's face to a system that is reached by a network; it takes engines of this process as well.
        system = mlperf_loadgen.ConstructQDL(issued.issue, _nothing, lambda: name)
        library = mlperf_loadgen.ConstructQSL(1, 1, _nothing, _nothing)
        try:
            call_ns = _time_call(call) if sender is None else _time_burst(sender, at_once=plan.runs_at_once)
            settings = _make_settings(mlperf_loadgen, plan, call_ns=call_ns)
            mlperf_loadgen.StartTestWithLogSettings(system, library, settings, _make_log(mlperf_loadgen, folder), "")
        finally:
            mlperf_loadgen.DestroyQSL(library)
            mlperf_loadgen.DestroyQDL(system)
        loop = read_trace((Path(folder) / "mlperf_log_trace.json").read_text(), plan.scenario, issued=issued.queries)
    if loop.missed and sender is None:
        raise ModelError(f"the engine failed under LoadGen: {loop.missed[0].words}")
    return loop


class _Issued:
    """The queries of one test, in the order in which LoadGen issued them."""

    def __init__(self, loadgen: Any, sender: Sender) -> None:
        self._complete, self._answer, self._sender = loadgen.QuerySamplesComplete, loadgen.QuerySampleResponse, sender
        self.queries: list[Query] = []

    def issue(self, samples: Sequence[Any]) -> None:
        """Begin what LoadGen wants to have begun now."""
        queries = [Query(sample.id, self._done) for sample in samples]
        self.queries += queries
        self._sender.send(queries)

    def _done(self, query: Query) -> None:
        self._complete([self._answer(query.identifier, 0, 0)])


class _Caller:
    """Makes each call as it is issued."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def send(self, queries: Sequence[Query]) -> None:
        """Make the calls, one after another."""
        for query in queries:
            query.seen_ns = query.sent_ns = time.perf_counter_ns()
            try:
                self._call()
            except Exception as error:  # noqa: BLE001 - it may not pass through LoadGen's C++; told below
                query.miss(Missed(False, str(error)))
            else:
                query.end()

    def close(self) -> None:
        """Nothing is held."""


def read_trace(text: str, scenario: str, *, issued: Sequence[Query] = ()) -> Loop:
    """Read the latency of every query from LoadGen's trace.

    Args:
        text: `mlperf_log_trace.json`: events `Sample` with `complete_ns`, counted from the moment the sample was
            issued, or, in `server`, scheduled; `issue_start_ns` is by how much LoadGen itself was late.
        scenario: a query of `multi-stream` has ended when its last sample has; of `offline`, each call is a sample.
        issued: the samples as they were issued; they tell what was missed, and how long each waited for the client.

    Raises:
        ModelError: there is no sample in it.
    """
    lines = [line.rstrip(",\n ") for line in text.splitlines() if '"name":"Sample"' in line and '"ph":"b"' in line]
    events = [json.loads(line) for line in lines]
    if not events:
        raise ModelError("LoadGen left no samples in its trace")
    found: dict[int, _Timed] = {}
    for event in events:
        told = event["args"]
        query = issued[told["sample_seq"]] if issued else None
        timed = _Timed(
            event["ts"] * 1e3 + told["complete_ns"],
            query.ended_ns - query.sent_ns if query and scenario == "offline" else told["complete_ns"],
            0 if scenario == "offline" else told["issue_start_ns"] + (query.lag_ns if query else 0),
            query.missed if query else None,
        )
        key = told["sample_seq"] if scenario == "offline" else told["query_seq"]
        found[key] = timed.join(found[key]) if key in found else timed
    answered = sorted((timed for timed in found.values() if timed.missed is None), key=lambda timed: timed.end)
    start = min(event["ts"] for event in events) * 1e3
    gaps = [round(after - before) for before, after in pairwise([start, *(timed.end for timed in answered)])]
    return Loop(
        samples=[timed.latency for timed in answered] if issued or scenario != "offline" else gaps,
        gaps=gaps,
        lags=[timed.lag for timed in answered],
        missed=[timed.missed for timed in found.values() if timed.missed is not None],
    )


class _Timed(NamedTuple):
    """A query: when it ended on LoadGen's clock, how long it took, how long it waited for the client; all in ns."""

    end: float
    latency: int
    lag: int
    missed: Missed | None

    def join(self, other: _Timed) -> _Timed:
        """Return the query of two samples."""
        end, latency, lag = max(self.end, other.end), max(self.latency, other.latency), max(self.lag, other.lag)
        return _Timed(end, latency, lag, self.missed or other.missed)


def _make_settings(mlperf_loadgen: Any, plan: MeasurePlan, *, call_ns: int) -> Any:
    settings = mlperf_loadgen.TestSettings()
    settings.scenario = getattr(mlperf_loadgen.TestScenario, SCENARIO_NAMES[plan.scenario])
    settings.mode = mlperf_loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = max(round(plan.min_s * 1e3), 1)
    settings.max_duration_ms = max(round(plan.max_s * 1e3), 1)
    settings.min_query_count = plan.min_calls
    settings.schedule_rng_seed = plan.seed + 1
    # LoadGen makes its queries in advance, as many as it expects to need: half the time of a call fills the window.
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


def _time_burst(sender: Sender, *, at_once: int) -> int:
    """Return the nanoseconds from answer to answer while some calls are always under way; connections are open then."""
    start, count, is_over = time.perf_counter_ns(), BURSTS * at_once, threading.Event()
    ended: list[Query] = []

    def note(query: Query) -> None:
        ended.append(query)
        if len(ended) == count:
            is_over.set()

    sender.send([Query(number, note) for number in range(count)])
    is_over.wait()
    return max((time.perf_counter_ns() - start) // count, 1)


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
