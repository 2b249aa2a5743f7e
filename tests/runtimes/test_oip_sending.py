"""Many requests on their way at once: all come back, each once, whatever the server does with them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oip.double import Double, Model, RefusedError, open_double
from oip.wire import Tensor
from tiny_models import build_model

from toolkit.errors import ResourceError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.query import Query
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.timing.loop import measure
from toolkit.runtimes.timing.plan import MeasurePlan

pytest.importorskip("httptools", reason="the extra loadgen is not installed")

FEEDS = {"images": np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)}
SOURCE = ModelSource.in_memory(build_model().SerializeToString(), Path("tiny.onnx"))
IMAGES = Tensor(name="images", datatype="UINT8", shape=(-1, 8, 8))
OUTPUTS = (
    Tensor(name="logits", datatype="FP32", shape=(-1, 3)),
    Tensor(name="probabilities", datatype="FP32", shape=(-1, 3)),
    Tensor(name="label", datatype="INT64", shape=(-1,)),
)


class Work:
    """What the server does; counts how many requests it has at once."""

    def __init__(self) -> None:
        self.lock, self.now, self.most, self.calls = threading.Lock(), 0, 0, 0
        self.before: Callable[[int], None] = lambda _: None

    def run(self, feeds: Any) -> dict[str, Any]:
        with self.lock:
            self.now += 1
            self.calls += 1
            self.most, number = max(self.most, self.now), self.calls
        try:
            self.before(number)
        finally:
            with self.lock:
                self.now -= 1
        first = feeds["images"][:, 0, :3].astype(np.float32)
        return {"logits": first, "probabilities": first / 2, "label": first.argmax(axis=1)}


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def double(work: Work) -> Iterator[Double]:
    with open_double(Model(name="tiny", inputs=(IMAGES,), outputs=OUTPUTS, run=work.run)) as opened:
        yield opened


def send(url: str, count: int, *, runtime: str = "oip-http", at_once: int | None = None) -> list[Query]:
    """Send so many queries and return them when all are over, in the order in which they ended."""
    over, ended = threading.Event(), []

    def note(query: Query) -> None:
        ended.append(query)
        if len(ended) == count:
            over.set()

    with open_runtime(SOURCE, RuntimeSettings(runtime=runtime, provider="remote", at=url)) as opened:
        sender = opened.open_sender(FEEDS, at_once=at_once)
        assert sender is not None
        try:
            sender.send([Query(number, note) for number in range(count)])
            assert over.wait(60)
        finally:
            sender.close()
    return ended


@pytest.mark.parametrize("runtime", ["oip-http", "oip-json"])
def test_every_query_ends_once_and_its_moments_are_in_order(double: Double, work: Work, runtime: str) -> None:
    ended = send(double.url, 40, runtime=runtime, at_once=4)
    assert sorted(query.identifier for query in ended) == list(range(40))
    assert all(query.missed is None for query in ended), ended[0].missed
    assert all(0 < query.begun_ns <= query.seen_ns <= query.sent_ns <= query.ended_ns for query in ended)
    assert work.calls == 40


def test_no_more_are_on_their_way_than_are_asked_for(double: Double, work: Work) -> None:
    work.before = lambda _: time.sleep(0.01)
    send(double.url, 24, at_once=3)
    assert 1 < work.most <= 3


def test_refusals_and_failures_are_told_apart_and_the_rest_is_answered(double: Double, work: Work) -> None:
    def before(number: int) -> None:
        if number % 4 == 0:
            raise RefusedError(429, "no room", **{"Retry-After": "1"})
        if number % 4 == 1:
            raise RefusedError(400, "not that")

    work.before = before
    missed = [query.missed for query in send(double.url, 40, at_once=2)]
    assert sum(one is not None and one.is_refused for one in missed) == 10
    assert sum(one is not None and not one.is_refused for one in missed) == 10
    assert {one.words for one in missed if one} == {'429: {"error": "no room"}', '400: {"error": "not that"}'}


def test_server_that_closes_every_connection_is_asked_on_new_ones(double: Double) -> None:
    double.keeps = False
    assert all(query.missed is None for query in send(double.url, 20, at_once=4))


def test_connection_that_breaks_or_speaks_something_else_is_a_miss(double: Double, work: Work) -> None:
    """A server that meets the runtime and then answers with rubbish, or not at all."""
    with open_runtime(SOURCE, RuntimeSettings(runtime="oip-http", provider="remote", at=double.url)) as opened:
        for answer, words in ((b"", "the connection ended without an answer"), (b"hello\r\n\r\n", "no answer in HTTP")):
            with socket.create_server(("127.0.0.1", 0)) as server:
                opened._server.port = server.getsockname()[1]  # type: ignore[attr-defined]
                threading.Thread(target=_answer_once, args=(server, answer), daemon=True).start()
                query, over = _ask_once(opened)
                assert over.wait(30)
            assert query.missed is not None
            assert words in query.missed.words
        query, over = _ask_once(opened)  # nobody listens there any more
        assert over.wait(30)
        assert query.missed is not None
        assert "no connection" in query.missed.words


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(answer)


def _ask_once(opened: Any) -> tuple[Query, threading.Event]:
    over = threading.Event()
    query = Query(0, lambda _: over.set())
    sender = opened.open_sender(FEEDS)
    sender.send([query])
    over.wait(30)
    sender.close()
    return query, over


def test_token_goes_with_every_request(
    double: Double, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("TOOLKIT_TOKEN_FILE", str(tmp_path / "token"))
    seen: list[str | None] = []
    double.on_headers = lambda headers: seen.append(headers.get("authorization"))
    send(double.url, 5)
    assert set(seen) == {"Bearer secret"}
    assert len(seen) >= 5


def test_without_the_parser_its_extra_is_named(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "httptools", None)
    with (
        open_runtime(SOURCE, RuntimeSettings(runtime="oip-http", provider="remote", at=double.url)) as opened,
        pytest.raises(ResourceError, match=r"pip install 'onnx-parity-toolkit\[loadgen\]'"),
    ):
        opened.open_sender(FEEDS)


@pytest.mark.parametrize("scenario", ["server", "offline"])
def test_loadgen_asks_a_server_without_waiting_for_answers(double: Double, work: Work, scenario: str) -> None:
    """Sixty a second of 50 ms each are three at once; one after another they would take three times as long."""
    pytest.importorskip("mlperf_loadgen", reason="the extra loadgen is not installed")
    work.before = lambda number: time.sleep(0.05)
    rate = 60.0 if scenario == "server" else None
    plan = MeasurePlan(
        scenario=scenario, rate=rate, driver="loadgen", runs_at_once=4, warmup_calls=0, warmup_s=0, min_calls=20,
        min_s=0.3, max_s=2.0,
    )  # fmt: skip
    with open_runtime(SOURCE, RuntimeSettings(runtime="oip-http", provider="remote", at=double.url)) as opened:
        window = measure(opened, FEEDS, plan=plan)
    assert work.most > 1
    assert window.samples_ns.size >= 20 or scenario == "offline"
    assert window.samples_ns.min() >= 50_000_000
    assert window.lags_ns is not None
    assert window.lags_ns.shape == window.samples_ns.shape
    assert (window.facts["refused"], window.facts["failed"], window.facts["rate"]) == (0, 0, rate)


def test_slow_answer_is_paid_for_by_those_that_arrive_behind_it(double: Double, work: Work) -> None:
    """Latency counts from the scheduled arrival: a server that stops for a while is told of by all that arrived then."""
    pytest.importorskip("mlperf_loadgen", reason="the extra loadgen is not installed")
    gate = threading.Lock()

    def before(number: int) -> None:
        with gate:
            time.sleep(0.5 if number == 100 else 0)

    work.before = before
    plan = MeasurePlan(
        scenario="server", rate=100.0, driver="loadgen", warmup_calls=0, warmup_s=0, min_calls=120, min_s=0.5, max_s=5.0
    )
    with open_runtime(SOURCE, RuntimeSettings(runtime="oip-http", provider="remote", at=double.url)) as opened:
        window = measure(opened, FEEDS, plan=plan)
    assert (window.samples_ns > 100_000_000).sum() >= 10
