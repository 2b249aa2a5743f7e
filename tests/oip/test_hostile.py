"""Whatever comes over the wire: 4xx or a closed connection, in bounded memory, and everybody else is served meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oip.hostile import BODIES, CONNECTIONS, STREAMS
from oip.neighbour import withstanding
from oip.rows import oip, own_server
from oip.sockets import RawAnswer, send_raw
from oip.wire import Wire
from served import serving

pytestmark = [oip, own_server, pytest.mark.slow]

# A whole body and its copies; what is measured beside is some MB.
MOST_GROWTH_BYTES = 100 << 20
# On a machine that does other work: what a server that hangs or walks through a bomb would take.
LONGEST_S = 5.0


@pytest.fixture(scope="module")
def attacked(model_path: Path) -> Iterator[Wire]:
    """Our server, a client beside the attacker, and at the end both have to be well."""
    with serving(f"digits={model_path}") as server:
        wire = Wire.find(server.url.rstrip("/"), "digits")
        with withstanding(server, wire, "binary", most_growth_bytes=MOST_GROWTH_BYTES, longest_s=LONGEST_S):
            yield wire


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
