"""Rows in the making: variants take turns, window by window, each in a worker that stays open.

A row is measured until three windows in a row agree, or its time is over.
"""

from __future__ import annotations

__all__ = [
    "MOST_OPEN",
    "STABLE_SPREAD",
    "WINDOWS",
    "MeasuredRow",
    "PlannedRow",
    "PlannedWorker",
    "measure_rows",
    "next_window",
    "pool_windows",
    "window_spread",
]

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.capacity import next_run
from toolkit.bench.measuring.inputs import Feeds, make_feeds
from toolkit.bench.measuring.probing import Probe
from toolkit.bench.statistics import nearest_rank, sample_floor
from toolkit.errors import ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings
from toolkit.runtimes.timing.plan import MeasurePlan, Window
from toolkit.runtimes.workers.client import OpenedWorker, Opener

# Workers that are open at the same time: more would only fill the memory.
MOST_OPEN = 6
# So many windows in a row have to agree, within this share of each other.
WINDOWS = 3
STABLE_SPREAD = 0.10
# So many windows fit into the longest time: enough for three that agree after some that did not.
MOST_WINDOWS = 6
# So many runs a search for a capacity mostly takes.
CAPACITY_WINDOWS = 15
# After other variants had their turn a few calls bring caches and clocks back; the first window warms up in full.
AGAIN_CALLS, AGAIN_S = 3, 0.02
PHASE_CALLS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWorker:
    """What one worker serves: every batch size of a probe with one number of threads.

    Attributes:
        number: its place among the workers.
        probe: the variant, which opened.
        source: the model.
        settings: of the worker.
    """

    number: int
    probe: Probe
    source: ModelSource
    settings: RuntimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """One row to measure.

    Attributes:
        number: its place in the report.
        worker: who measures it.
        batch: items in one call.
    """

    number: int
    worker: PlannedWorker
    batch: int


class MeasuredRow(NamedTuple):
    """What became of a planned row.

    Attributes:
        row: what was planned.
        windows: what was measured, in its order.
        feeds: where the inputs came from.
        info: what was running; None where it did not open.
        cold: `import_ms` and `load_ms` of the worker.
        is_first: whether it was the worker's first row, so that its first call was the process's.
        error: why it failed.
    """

    row: PlannedRow
    windows: tuple[Window, ...]
    feeds: str
    info: RuntimeInfo | None
    cold: dict[str, float]
    is_first: bool
    error: ToolkitError | None


def measure_rows(
    planned: Sequence[PlannedRow], config: BenchConfig, *, opener: Opener, progress: ShowProgress = tell_nobody
) -> Iterator[MeasuredRow]:
    """Measure every row; those with the same batch size take turns: a window of A, one of B, one of A.

    Args:
        planned: the rows.
        config: how to measure.
        opener: opens a model in a worker.
        progress: called first, after each window and each row with the rows done and their number; a row under way
            counts in parts.

    Yields:
        Each row when it is done, whatever became of it.
    """
    done = 0

    def tell(under_way: float) -> None:
        progress(done + under_way, len(planned))

    tell(0)
    for first in range(0, 1 + max((row.worker.number for row in planned), default=-1), MOST_OPEN):
        mine = [row for row in planned if first <= row.worker.number < first + MOST_OPEN]
        with ExitStack() as stack:
            pool = _Pool(opener, stack, timeout_s=config.timeout_s)
            # Taking turns, variants of one batch size meet the same moods of the machine.
            ordered = sorted(mine, key=lambda row: (row.batch, row.number))
            for _, together in groupby(ordered, key=lambda row: row.batch):
                for measured in _take_turns([_RowUnderWay(row, config, pool) for row in together], tell=tell):
                    yield measured  # first: what is counted is kept, whenever Ctrl-C comes
                    done += 1
                    tell(0)


def next_window(plan: MeasurePlan, done: Sequence[Window]) -> MeasurePlan | None:
    """Return the plan of the next window, None where the row has enough.

    Enough is: `min_calls` and `min_s` are reached and the last three windows agree; or `max_s` is over. Of a capacity
    it is said in `next_run`.

    Args:
        plan: of the whole row.
        done: its windows so far.
    """
    if plan.scenario == "capacity":
        return next_run(plan, done)
    if done and not done[-1].samples_ns.size:
        return None  # a server that answered nothing, which time does not mend
    calls = sum(window.samples_ns.size for window in done)
    counted_s = sum(int(window.gaps_ns.sum()) for window in done) / 1e9
    left_s = plan.max_s - counted_s
    if done and left_s <= 0:
        return None
    spread = window_spread(done, plan.scenario)
    is_enough = len(done) >= WINDOWS and calls >= plan.min_calls and counted_s >= plan.min_s
    # Windows that are too short to be judged come from a slow engine: more of them would be as short.
    if is_enough and (spread is None or spread <= STABLE_SPREAD):
        return None
    longest_s = min(plan.max_s / MOST_WINDOWS, left_s)
    windows_left = max(WINDOWS - len(done), 1)
    return replace(
        plan,
        warmup_calls=min(AGAIN_CALLS, plan.warmup_calls) if done else plan.warmup_calls,
        warmup_s=min(AGAIN_S, plan.warmup_s) if done else plan.warmup_s,
        min_calls=max(math.ceil((plan.min_calls - calls) / windows_left), sample_floor("p50") if done else 1, 1),
        min_s=min(plan.min_s / WINDOWS, longest_s),
        max_s=longest_s,
        seed=plan.seed + len(done),
        phase_calls=0 if done else PHASE_CALLS,
    )


def window_spread(done: Sequence[Window], scenario: str) -> float | None:
    """Return by how much the last three windows differ: largest over smallest, less 1, of median or throughput.

    None with fewer than three, or where one has too few calls for a median. The throughput of `server` is that of the
    arrivals, which says nothing of the engine.
    """
    last = done[-WINDOWS:]
    if len(last) < WINDOWS or min(window.samples_ns.size for window in last) < sample_floor("p50"):
        return None
    medians = [nearest_rank(np.sort(window.samples_ns), "p50") for window in last]
    rates = [window.gaps_ns.size / max(int(window.gaps_ns.sum()), 1) for window in last]
    figures = (medians,) if scenario == "server" else (medians, rates)
    return max(max(values) / max(min(values), 1e-12) - 1 for values in figures)


def pool_windows(done: Sequence[Window]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return samples and gaps of all windows, one after another; nothing is left out."""
    return (
        np.concatenate([window.samples_ns for window in done]),
        np.concatenate([window.gaps_ns for window in done]),
    )


def _take_turns(rows: list[_RowUnderWay], *, tell: Callable[[float], None]) -> Iterator[MeasuredRow]:
    while rows:
        for row in rows:
            row.step()
            tell(sum(other.share for other in rows))
        yield from (row.finish() for row in rows if row.is_done)
        rows = [row for row in rows if not row.is_done]


@dataclass(slots=True)
class _Opened:
    engine: OpenedWorker
    stack: ExitStack
    rows: int = 0


class _Pool:
    """The workers that are open, by their numbers."""

    def __init__(self, opener: Opener, stack: ExitStack, *, timeout_s: float) -> None:
        self._opener, self._timeout_s, self._stack = opener, timeout_s, stack
        self._open: dict[int, _Opened] = {}

    def get(self, worker: PlannedWorker) -> _Opened:
        """Return an open worker, opened if it is not yet."""
        if worker.number not in self._open:
            own = self._stack.enter_context(ExitStack())
            engine = own.enter_context(self._opener(worker.source, worker.settings, timeout_s=self._timeout_s))
            self._open[worker.number] = _Opened(engine, own)
        return self._open[worker.number]

    def drop(self, worker: PlannedWorker) -> None:
        """End a worker: after a failure nobody knows what state it is in."""
        if (opened := self._open.pop(worker.number, None)) is not None:
            opened.stack.close()


@dataclass(slots=True)
class _RowUnderWay:
    row: PlannedRow
    config: BenchConfig
    pool: _Pool
    is_done: bool = False
    _windows: list[Window] = field(default_factory=list)
    _feeds: Feeds | None = None
    _told: dict[str, Any] = field(default_factory=dict)
    _error: ToolkitError | None = None

    @property
    def share(self) -> float:
        """How much of it is done, at the least, and never all: it may have enough before its time is over."""
        most = CAPACITY_WINDOWS if self.config.plan.scenario == "capacity" else MOST_WINDOWS
        return min(len(self._windows), most) / (most + 1)

    def step(self) -> None:
        """Measure one window, or find that it is enough."""
        plan = next_window(self.config.plan_for(self.row.worker.settings), self._windows)
        if plan is None:
            self.is_done, self._feeds = True, None
            return
        try:
            opened = self.pool.get(self.row.worker)
            if self._feeds is None:
                self._begin(opened)
            assert self._feeds is not None
            self._windows.append(opened.engine.measure(self._feeds.arrays, plan))
        except ToolkitError as error:
            self._error, self.is_done, self._feeds = error, True, None
            self.pool.drop(self.row.worker)

    def finish(self) -> MeasuredRow:
        """Return what became of the row."""
        told = {"feeds": "", "info": None, "cold": {}, "is_first": False, **self._told}
        return MeasuredRow(row=self.row, windows=tuple(self._windows), error=self._error, **told)

    def _begin(self, opened: _Opened) -> None:
        engine, worker = opened.engine, self.row.worker
        self._feeds = make_feeds(
            engine.info.inputs,
            batch=self.row.batch,
            golden=worker.probe.golden,
            config=self.config.feeds,
            plan=self.config.feed_plan,
        )
        self._told = {
            "feeds": self._feeds.origin,
            "info": engine.info,
            "cold": dict(engine.cold_ms),
            "is_first": opened.rows == 0,
        }
        opened.rows += 1
