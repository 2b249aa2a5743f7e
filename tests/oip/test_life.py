"""Rows about load and about the end: a full queue, a deadline that passes, SIGTERM with requests in flight."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from oip.rows import oip, own_server, require_error
from oip.wire import Answer, Wire
from served import Served, serving

pytestmark = [oip, own_server]

MANY = 24


@pytest.fixture
def slow(slow_model: Path) -> Iterator[tuple[Served, Wire]]:
    """Our server with a model that takes its time, a row a batch, and room for a few rows in the queue."""
    with serving(f"slow={slow_model}", "--max-batch", "1", "--max-queue", "4", "--threads", "1") as server:
        yield server, Wire.find(server.url.rstrip("/"), "slow")


def _at_once(ask: Callable[[int], Answer], count: int = MANY) -> list[Answer]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_full_queue_is_429_with_retry_after_on_a_kept_connection(slow: tuple[Served, Wire]) -> None:
    _, wire = slow
    health: list[float] = []
    is_over = threading.Event()

    def ask(number: int) -> Answer:
        draft = wire.draft("binary", wire.make_arrays(seed=number), id=str(number))
        with wire.connect() as connection:
            connection.request("POST", f"{wire.path}/infer", draft.encode(), draft.headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 429:
                socket = connection.sock
                connection.request("GET", "/v2/health/live")
                assert connection.getresponse().read() == b'{"live":true}'
                assert connection.sock is socket, "the connection was closed behind a refusal"
            return Answer(answer.status, answer.headers, body)  # type: ignore[arg-type]  # as in wire.ask

    def watch() -> None:
        while not is_over.is_set():
            start = time.monotonic()
            assert wire.ask("GET", "/v2/health/ready").status == 200
            health.append(time.monotonic() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = _at_once(ask)
    is_over.set()
    watcher.join()
    counts = Counter(answer.status for answer in answers)
    assert set(counts) == {200, 429}, counts
    for answer in answers:
        if answer.status == 429:
            require_error(answer, 429)
            assert int(answer.headers["retry-after"]) >= 1
    assert len(health) > 1


def test_a_wait_past_its_timeout_is_504(slow: tuple[Served, Wire]) -> None:
    _, wire = slow

    def ask(number: int) -> Answer:
        draft = wire.draft("binary", wire.make_arrays(seed=number), parameters={"timeout": 1000})  # microseconds
        return wire.infer(draft)

    answers = _at_once(ask, 3)
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 429, 504}, statuses
    assert statuses[504] + statuses[429] > 0
    for answer in answers:
        if answer.status == 504:
            require_error(answer, 504)


def test_sigterm_answers_what_is_in_flight_and_refuses_the_rest(slow: tuple[Served, Wire]) -> None:
    server, wire = slow
    with ThreadPoolExecutor(3) as pool:
        drafts = [wire.draft("json", wire.make_arrays(seed=number), id=str(number)) for number in range(3)]
        in_flight = [pool.submit(wire.infer, draft) for draft in drafts]
        while not _queued_rows(wire) and not in_flight[0].done():
            time.sleep(0.002)
        server.process.terminate()
        told = _ask_while_ending(wire)
        answers = [item.result() for item in in_flight]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [answer.document["id"] for answer in answers] == ["0", "1", "2"]
    assert server.process.wait(30) == 0
    assert told["ready"].status == 503
    require_error(told["infer"], 503)


def test_a_request_that_comes_late_is_refused_and_not_lost_though_nothing_is_at_work(slow: tuple[Served, Wire]) -> None:
    server, wire = slow
    draft = wire.draft("json", wire.make_arrays())
    head = f"POST {wire.path}/infer HTTP/1.1\r\nHost: here\r\nContent-Length: {len(draft.encode())}\r\n\r\n".encode()
    with wire.connect() as connection:
        connection.connect()
        server.process.terminate()
        while wire.ask("GET", "/v2/health/ready").status == 200:
            time.sleep(0.005)
        time.sleep(0.15)  # longer than between two looks at whether to end: it lay unread, or was on its way
        connection.sock.sendall(head + draft.encode())
        response = http.client.HTTPResponse(connection.sock)
        response.begin()
        assert response.status == 503
    assert server.process.wait(30) == 0


def _queued_rows(wire: Wire) -> int:
    """Return the rows that wait, by the server's metrics."""
    text = wire.ask("GET", "/metrics").body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("toolkit_queue_rows{")]
    return int(float(line.rpartition(" ")[2]))


def _ask_while_ending(wire: Wire) -> dict[str, Answer]:
    """Ask on new connections until ready is false or nobody listens; return what was said."""
    told: dict[str, Answer] = {}
    draft = wire.draft("json", wire.make_arrays())
    end = time.monotonic() + 10
    try:
        while time.monotonic() < end:
            ready = wire.ask("GET", "/v2/health/ready")
            if ready.status != 200:
                told["ready"] = ready
                told["infer"] = wire.infer(draft)
                return told
    except (OSError, http.client.HTTPException):
        pass
    return told
