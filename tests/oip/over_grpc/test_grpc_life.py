"""Rows over gRPC about load and the end: a full queue, deadlines, cancelled calls, SIGTERM with calls in flight."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from oip.over_grpc.wire import GrpcWire, pb, refusal, require_code
from oip.rows import oip, own_server
from served import Served, serving

pytestmark = [oip, own_server]
MANY = 24


@pytest.fixture
def slow(slow_model: Path) -> Iterator[tuple[Served, GrpcWire]]:
    """Our server with a model that takes its time, a row a batch, and room for a few rows in the queue."""
    pytest.importorskip("grpc_health", reason="the extra `serve-grpc` is not installed")
    limits = ["--max-batch", "1", "--max-queue", "4", "--threads", "1"]
    with serving(f"slow={slow_model}", *limits, "--grpc-port", "0") as server:
        yield server, GrpcWire.find(server.grpc, "slow")


def start(wire: GrpcWire, count: int, **options: Any) -> list[Any]:
    """Send so many requests at once."""
    drafts = [wire.draft("raw", wire.make_arrays(seed=seed), id=str(seed)) for seed in range(count)]
    return [wire.stub.ModelInfer.future(draft, **{"timeout": 60, **options}) for draft in drafts]


def metric(server: Served, pattern: str) -> int:
    """Return a number of the metrics page; 0 where it has no such line."""
    page = server.ask("/metrics")[2].decode()
    return sum(int(float(number)) for number in re.findall(rf"^{pattern} (\S+)$", page, re.MULTILINE))


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_grpc_full_queue_is_unavailable_and_says_when_to_come_again(slow: tuple[Served, GrpcWire]) -> None:
    server, wire = slow
    calls = start(wire, MANY)
    while not all(call.done() for call in calls):
        assert wire.stub.ServerReady(pb.ServerReadyRequest(), timeout=30).ready
    codes = Counter(call.code().name for call in calls)
    assert set(codes) == {"OK", "UNAVAILABLE"}, codes
    for call in calls:
        if call.code() == grpc.StatusCode.UNAVAILABLE:
            assert "too many requests" in call.details()
            assert int(dict(call.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000
    assert metric(server, r"toolkit_refusals_total\{.*reason=\"overloaded\".*\}") == codes["UNAVAILABLE"]
    assert metric(server, r"toolkit_requests_total\{code=\"200\".*\}") == codes["OK"]


@pytest.mark.parametrize("way", ["parameter", "deadline"])
def test_grpc_a_wait_past_its_time_is_deadline_exceeded(slow: tuple[Served, GrpcWire], way: str) -> None:
    server, wire = slow
    request = wire.draft("raw", wire.make_arrays())
    if way == "parameter":
        request.parameters["timeout"].int64_param = 1000  # microseconds: less than a call takes
        message = require_code(lambda: wire.infer(request), "DEADLINE_EXCEEDED")
        assert "less than the model takes" in message
    else:
        require_code(lambda: wire.infer(request, timeout=0.01), "DEADLINE_EXCEEDED")
    until(lambda: metric(server, r"toolkit_refusals_total\{.*reason=\"late\".*\}") == 1)
    assert metric(server, "toolkit_queue_rows{.*}") == 0


def test_grpc_cancelled_calls_leave_the_queue(slow: tuple[Served, GrpcWire]) -> None:
    server, wire = slow
    calls = start(wire, 4)
    until(lambda: metric(server, "toolkit_queue_rows{.*}") > 0)
    for call in calls:
        call.cancel()
    until(lambda: metric(server, "toolkit_queue_rows{.*}") == 0)
    # A call that was cancelled before it was sent, or while its answer was on the way, is none that left the queue.
    left = r"toolkit_refusals_total\{.*reason=\"client_gone\".*\}"
    until(lambda: metric(server, left))
    assert metric(server, left) <= sum(call.cancelled() for call in calls)
    assert wire.infer_arrays("raw", wire.make_arrays())


def test_grpc_sigterm_answers_what_is_in_flight_and_refuses_the_rest(slow: tuple[Served, GrpcWire]) -> None:
    server, wire = slow
    watching = _watch(wire)
    in_flight = start(wire, 3)
    until(lambda: metric(server, "toolkit_queue_rows{.*}") > 0 or in_flight[0].done())
    server.process.terminate()
    until(lambda: not wire.stub.ServerReady(pb.ServerReadyRequest(), timeout=30).ready)
    assert not wire.stub.ModelReady(pb.ModelReadyRequest(name="slow"), timeout=30).ready
    assert "is ending" in require_code(lambda: wire.infer(wire.draft("raw", wire.make_arrays())), "UNAVAILABLE")
    assert [call.result().id for call in in_flight] == ["0", "1", "2"]
    assert server.process.wait(30) == 0
    assert watching is None or watching()[-1] == "NOT_SERVING"


def test_grpc_is_answered_by_another_engine_where_the_first_is_killed(slow: tuple[Served, GrpcWire]) -> None:
    """A process that runs gRPC's threads starts another one."""
    import os
    import signal

    server, wire = slow
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    if not children.exists():
        pytest.skip("children are found through /proc")
    (engine, *_) = map(int, children.read_text().split())
    os.kill(engine, signal.SIGKILL)
    until(lambda: not wire.stub.ServerReady(pb.ServerReadyRequest(), timeout=30).ready)
    assert refusal(lambda: wire.infer(wire.draft("raw", wire.make_arrays()))).code() == grpc.StatusCode.UNAVAILABLE
    until(lambda: wire.stub.ServerReady(pb.ServerReadyRequest(), timeout=30).ready)
    assert wire.infer_arrays("raw", wire.make_arrays())


def _watch(wire: GrpcWire) -> Callable[[], list[str]]:
    """Watch the health of the server; what is returned waits for the end and says what was seen."""
    health = pytest.importorskip("grpc_health.v1.health_pb2")
    stubs = pytest.importorskip("grpc_health.v1.health_pb2_grpc")
    watching = stubs.HealthStub(wire.channel).Watch(health.HealthCheckRequest(), timeout=60)
    assert next(watching).status == health.HealthCheckResponse.SERVING
    return lambda: [health.HealthCheckResponse.ServingStatus.Name(told.status) for told in watching]
