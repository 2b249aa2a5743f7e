"""Whatever comes over the wire: 4xx or a closed connection, in bounded memory, and everybody else is served meanwhile."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from oip.hostile import BODIES, CONNECTIONS, STREAMS
from oip.rows import oip, own_server
from oip.sockets import RawAnswer, send_raw
from oip.wire import Wire
from served import Served, serving

pytestmark = [oip, own_server]

# A whole body and its copies; what is measured beside is some MB.
MOST_GROWTH_BYTES = 100 << 20
# On a machine that does other work: what a server that hangs or walks through a bomb would take.
LONGEST_S = 5.0


class Neighbour(threading.Thread):
    """A client that does all right, for as long as the others do not."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire, self._is_over = wire, threading.Event()
        self.served, self.longest_s = 0, 0.0
        self.wrong: list[str] = []

    def run(self) -> None:
        arrays = self._wire.make_arrays(seed=9)
        expected = self._wire.infer_arrays("binary", arrays)
        while not self._is_over.is_set():
            start = time.monotonic()
            try:
                told = self._wire.infer_arrays("binary", arrays)
                if any(not np.allclose(told[name], expected[name], atol=1e-4) for name in expected):
                    self.wrong.append("another answer")
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.wrong.append(repr(error))
            self.longest_s = max(self.longest_s, time.monotonic() - start)
            self.served += 1

    def end(self) -> None:
        self._is_over.set()
        self.join()


@pytest.fixture(scope="module")
def attacked(model_path: Path) -> Iterator[Wire]:
    """Our server, a client beside the attacker, and at the end both have to be well."""
    with serving(f"digits={model_path}") as server:
        wire = Wire.find(server.url.rstrip("/"), "digits")
        before = _memory_bytes(server)
        neighbour = Neighbour(wire)
        neighbour.start()
        try:
            yield wire
        finally:
            neighbour.end()
        assert neighbour.wrong == []
        assert neighbour.served > 10
        assert neighbour.longest_s < LONGEST_S
        assert server.process.poll() is None
        grown = _memory_bytes(server) - before
        assert grown < MOST_GROWTH_BYTES, f"{grown >> 20} MiB more"
        assert 'code="5' not in wire.ask("GET", "/metrics").body.decode()
        code, said = server.stop()
        assert (code, said) == (0, "")


def _memory_bytes(server: Served) -> int:
    """Return the most memory that the server and its workers ever had."""
    total, own = 0, server.process.pid
    children = [path.read_text().split() for path in Path(f"/proc/{own}/task").glob("*/children")]
    for pid in (own, *(pid for some in children for pid in some)):
        text = Path(f"/proc/{pid}/status").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:")) << 10
    return total


@pytest.mark.parametrize("name", BODIES)
def test_body_is_refused(attacked: Wire, name: str) -> None:
    body, headers = BODIES[name](attacked)
    start = time.monotonic()
    try:
        answer = attacked.ask("POST", f"{attacked.path}/infer", body, headers)
    except (BrokenPipeError, ConnectionResetError):
        return  # it closed before the whole was sent
    assert 400 <= answer.status < 500, answer.body[:200]
    assert list(answer.document) == ["error"]
    assert time.monotonic() - start < LONGEST_S


@pytest.mark.parametrize("name", STREAMS)
def test_stream_is_refused_or_closed(attacked: Wire, name: str) -> None:
    make, allowed = STREAMS[name]
    _judge(send_raw(attacked.url, make(attacked)), allowed)


@pytest.mark.parametrize("name", CONNECTIONS)
def test_connections_are_survived(attacked: Wire, name: str) -> None:
    act, allowed = CONNECTIONS[name]
    _judge(act(attacked), allowed)


def _judge(answers: list[RawAnswer], allowed: set[int | None]) -> None:
    assert {answer.status for answer in answers} <= allowed or (not answers and None in allowed), answers[:3]
    assert answers or None in allowed
    for answer in answers:
        assert "x-evil" not in answer.head.lower()
        assert b"root:" not in answer.body
