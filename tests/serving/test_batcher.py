"""Laws of the batcher: no answer to the wrong owner, none lost, none twice, bounds held, whatever happens in any order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from toolkit.errors import ModelError, WorkerError
from toolkit.serving.batcher import CALLS_AHEAD, Batcher, Finished
from toolkit.serving.call_time import CallTime
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.job import Arrays, Job

# Futures have one; nothing here is called by it.
LOOP = asyncio.new_event_loop()
LOOP.close()
MAX_BATCH, MAX_QUEUE = 8, 24
WORDS = {"poison": ModelError("the engine cannot compute this"), "death": WorkerError("the engine died")}


class Bench:
    """A batcher with an engine, a clock and timers that only a test moves."""

    def __init__(self, *, max_wait_s: float = 0.0) -> None:
        self.time, self.timers = 1.0, list[tuple[float, Callable[[], None]]]()
        self.calls: deque[tuple[Arrays, Finished]] = deque()
        self.observed: list[int] = []
        self.batcher = Batcher(
            run=lambda feeds, done: self.calls.append((feeds, done)),
            line=CallTime(),
            now=lambda: self.time,
            call_later=lambda seconds, call: self.timers.append((self.time + seconds, call)),
            observe=lambda rows, _: self.observed.append(rows),
            max_batch=MAX_BATCH,
            max_wait_s=max_wait_s,
            max_queue=MAX_QUEUE,
        )

    def job(self, values: list[int], *, left_s: float = 1e6, width: int = 2, shares: bool = True) -> Job:
        feeds = {"x": np.array([[value] * width for value in values])}
        answer: asyncio.Future[Arrays] = asyncio.Future(loop=LOOP)
        return Job(feeds=feeds, rows=len(values), answer=answer, deadline=self.time + left_s, shares=shares)

    def submit(self, values: list[int], **how: Any) -> Job:
        job = self.job(values, **how)
        self.batcher.submit(job)
        return job

    def answer(self) -> None:
        feeds, done = self.calls.popleft()
        done({"y": feeds["x"][:, 0] * 10})

    def advance(self, seconds: float) -> None:
        self.time += seconds
        due = [call for at, call in self.timers if at <= self.time]
        self.timers = [(at, call) for at, call in self.timers if at > self.time]
        for call in due:
            call()
        self.batcher.tick()


class AnyOrder(RuleBasedStateMachine):
    """Requests come, wait, are cancelled, time out; calls end in every way; every request ends once, with its own rows."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.owners: dict[int, Job] = {}
        self.next_value = 1
        self.poisoned: set[int] = set()
        self.refused = RefusedError("nothing", status=504)

    def teardown(self) -> None:
        self.bench.batcher.resume()
        while self.bench.calls:
            self.end_call(how="answer")
        assert self.bench.batcher.is_idle
        assert all(job.answer.done() for job in self.owners.values())
        for value, job in self.owners.items():
            if not job.answer.cancelled() and job.answer.exception() is None:
                assert job.answer.result()["y"].tolist() == [10 * (value + at) for at in range(job.rows)]

    @rule(rows=st.integers(1, MAX_BATCH), left_s=st.sampled_from([1.0, 5.0, 1e6]), width=st.sampled_from([1, 1, 1, 2]))
    def submit(self, rows: int, left_s: float, width: int) -> None:
        values = list(range(self.next_value, self.next_value + rows))
        job = self.bench.job(values, left_s=left_s, width=width)
        try:
            self.bench.batcher.submit(job)
        except RefusedError as error:
            self.refused = error
            return
        self.owners[self.next_value] = job
        self.next_value += rows

    @precondition(lambda self: self.owners)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.bench.batcher.forget(self.owners[data.draw(st.sampled_from(sorted(self.owners)))])

    @precondition(lambda self: self.owners)
    @rule(data=st.data())
    def poison(self, data: st.DataObject) -> None:
        """From now on the engine cannot compute the first row of this request."""
        self.poisoned.add(data.draw(st.sampled_from(sorted(self.owners))))

    @precondition(lambda self: self.bench.calls)
    @rule(how=st.sampled_from(["answer", "answer", "death"]))
    def end_call(self, how: str) -> None:
        feeds, done = self.bench.calls[0]
        values = feeds["x"][:, 0].tolist()
        assert len(values) <= MAX_BATCH
        assert len({array.shape[1:] for array in feeds.values()}) == 1
        if how == "answer" and not self.poisoned & set(values):
            self.bench.answer()
            return
        self.bench.calls.popleft()
        done(WORDS["poison" if how == "answer" else how])
        healthy = [job for value, job in self.owners.items() if value in values and value not in self.poisoned]
        if how == "answer":  # who stood beside it is tried again
            assert all(job.answer.done() or job.failures for job in healthy)
            assert not any(
                job.answer.done() and not job.answer.cancelled() and isinstance(job.answer.exception(), ModelError)
                for job in healthy
            )

    @rule()
    def lose_the_engine(self) -> None:
        self.bench.batcher.pause()
        while self.bench.calls:
            self.bench.calls.popleft()[1](WORDS["death"])

    @rule()
    def find_the_engine(self) -> None:
        self.bench.batcher.resume()

    @rule(seconds=st.sampled_from([0.1, 2.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.bench.advance(seconds)
        for job in self.owners.values():
            if job.sent_at == 0 and job.deadline < self.bench.time:
                assert job.answer.done()

    @invariant()
    def bounds_hold(self) -> None:
        waiting = [job for job in self.owners.values() if not job.answer.done()]
        assert len(self.bench.calls) <= CALLS_AHEAD
        assert (self.refused.status, self.refused.retry_after_s >= 1) in {(429, True), (504, False)}
        in_calls = sum(len(feeds["x"]) for feeds, _ in self.bench.calls)
        assert self.bench.batcher.queued_rows <= MAX_QUEUE + CALLS_AHEAD * MAX_BATCH
        assert sum(job.rows for job in waiting) <= self.bench.batcher.queued_rows + in_calls


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_a_lone_request_goes_at_once_and_those_behind_it_share_the_next_call() -> None:
    bench = Bench()
    first = bench.submit([1])
    others = [bench.submit([value]) for value in (2, 3, 4)]
    assert [len(feeds["x"]) for feeds, _ in bench.calls] == [1]
    bench.answer()
    assert first.answer.result()["y"].tolist() == [10]
    assert [len(feeds["x"]) for feeds, _ in bench.calls] == [3]
    bench.answer()
    assert [job.answer.result()["y"].tolist() for job in others] == [[20], [30], [40]]
    assert bench.observed == [1, 3]


def test_a_full_batch_is_sent_ahead_and_no_third() -> None:
    bench = Bench()
    for value in range(0, 24, 4):
        bench.submit([value] * 4)
    assert [len(feeds["x"]) for feeds, _ in bench.calls] == [4, 8]


def test_a_batch_waits_as_long_as_it_may_and_not_longer_than_until_it_is_full() -> None:
    bench = Bench(max_wait_s=0.5)
    bench.submit([1])
    bench.advance(0.25)
    bench.submit([2])
    assert not bench.calls
    bench.advance(0.25)
    assert [len(feeds["x"]) for feeds, _ in bench.calls] == [2]
    bench.answer()
    bench.submit([1] * MAX_BATCH)
    assert [len(feeds["x"]) for feeds, _ in bench.calls] == [MAX_BATCH]


def test_what_cannot_be_answered_in_time_is_refused_now_with_when_to_come_again() -> None:
    bench = Bench()
    for rows in (1, 8, 1, 8):
        bench.batcher.line.add(rows, 1.0 + 0.5 * rows)  # a call of 8 rows takes 5 s
    bench.submit([1] * 8)
    bench.submit([1] * 8)
    with pytest.raises(RefusedError, match="too many requests: 0 rows wait, an answer would come in 13 s") as refused:
        bench.submit([1] * 4, left_s=7.0)  # 10 s for the two before it and 3 of its own
    assert (refused.value.status, refused.value.retry_after_s) == (429, 6)
    assert bench.submit([1] * 4, left_s=13.5)


def test_the_queue_is_bounded_in_rows() -> None:
    bench = Bench()
    bench.batcher.pause()
    for _ in range(3):
        bench.submit([1] * 8)
    with pytest.raises(RefusedError, match="24 rows wait") as refused:
        bench.submit([1])
    assert refused.value.status == 429


def test_a_request_that_breaks_the_engine_fails_itself_only() -> None:
    bench = Bench()
    bench.submit([0])
    poison, neighbour = bench.submit([666]), bench.submit([7])
    bench.answer()
    while bench.calls:
        feeds, done = bench.calls.popleft()
        if 666 in feeds["x"]:
            bench.batcher.pause()
            done(WorkerError("the engine crashed"))
            bench.batcher.resume()
        else:
            done({"y": feeds["x"][:, 0] * 10})
    assert isinstance(poison.answer.exception(), WorkerError)
    assert neighbour.answer.result()["y"].tolist() == [70]


def test_the_line_follows_a_machine_that_slows_down() -> None:
    line = CallTime()
    for rows in (1, 2, 4, 8, 16, 32, 64):
        line.add(rows, 0.001 + 0.0001 * rows)
    assert abs(line.predict(64) - 0.0074) < 1e-9
    assert abs(line.predict(128, calls=2) - 0.0148) < 1e-9
    for _ in range(40):
        for rows in (1, 2, 4, 8, 16, 32, 64):
            line.add(rows, 0.003 + 0.0002 * rows)
    assert abs(line.predict(64) - 0.0158) < 2e-4
