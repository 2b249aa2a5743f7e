"""Load: wrk for the highest rate that a server has; for all that is about time an open loop of arrivals at random."""

from __future__ import annotations

__all__ = ["BROKEN", "CLOSED", "Arrivals", "Closed", "run_arrivals", "run_wrk"]

import re
import resource
import selectors
import socket
import subprocess
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from serving_load.servers import RunningServer, Wire

CONNECTIONS = 16
# In place of a status.
BROKEN, CLOSED = 0, -1
# Of the open loop: a request that finds no idle connection opens one, up to so many.
MOST_CONNECTIONS = 400
# What is on its way when the arrivals end is waited for.
LINGER_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a closed loop found: every connection asks again when it is answered.

    Attributes:
        rate: answers a second.
        errors: answers that were not 200, and connections that broke.
        server_share: of one core that the server took.
        client_share: of one core that the client took.
    """

    rate: float
    errors: int
    server_share: float
    client_share: float


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """What an open loop found: requests go out at their moment, whatever became of those before.

    Attributes:
        offered: requests that were sent.
        statuses: answers by their status; `BROKEN`: a connection that ended without one; `CLOSED`: one nobody took.
        broken_s: when the requests were sent whose connections broke, in seconds of `perf_counter`.
        latencies_s: of the answers with status 200, from the moment each was to be sent.
        answers: when each of those was sent, seconds of `perf_counter`, and its body; the same bytes are kept once.
        seconds: the loop's length.
        late_s: by how much the client itself was late at the most.
    """

    offered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    broken_s: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    answers: list[tuple[float, bytes]] = field(default_factory=list)
    seconds: float = 0.0
    late_s: float = 0.0

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the answered ones' latencies, in ms."""
        return float(np.quantile(self.latencies_s, share, method="inverted_cdf")) * 1e3 if self.latencies_s else np.nan

    def to_row(self) -> dict[str, Any]:
        """Return what a table tells of it."""
        return {
            "offered": self.offered,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items()) if count},
            "p50_ms": round(self.percentile_ms(0.5), 3),
            "p99_ms": round(self.percentile_ms(0.99), 3),
            "client_late_ms": round(self.late_s * 1e3, 2),
        }


def run_wrk(server: RunningServer, wire: Wire, *, seconds: float, core: int, connections: int = CONNECTIONS) -> Closed:
    """Keep so many connections busy and count what comes back."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "ask.lua"
        body.write_bytes(wire.body)
        lines = [
            f'wrk.method = "POST"; local file = io.open("{body}", "rb"); wrk.body = file:read("*all"); file:close()'
        ]
        lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in wire.headers.items()]
        script.write_text("\n".join(lines))
        command = ["taskset", "--cpu-list", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s"]
        before, used = server.cpu_s(), _children_cpu_s()
        start = time.monotonic()
        told = subprocess.run(
            [*command, str(script), f"http://127.0.0.1:{server.port}{wire.path}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        elapsed = time.monotonic() - start
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert rate is not None, told
    errors = [
        int(word) for line in re.findall(r"(?:Socket errors|Non-2xx).*", told) for word in re.findall(r"\d+", line)
    ]
    return Closed(
        rate=float(rate[1]),
        errors=sum(errors),
        server_share=(server.cpu_s() - before) / elapsed,
        client_share=(_children_cpu_s() - used) / elapsed,
    )


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received, self.unsent = b"", memoryview(b"")
        self.moment = self.sent = 0.0

    def send(self, request: bytes, moment: float) -> None:
        self.received, self.moment, self.unsent = b"", moment, memoryview(request)
        self.sent = time.perf_counter()
        self.go_on()

    def go_on(self) -> None:
        """Send what the socket takes."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return

    def receive(self) -> int | None:
        """Return the status once the answer is whole, `BROKEN` where the connection is, None while it comes."""
        try:
            more = self.socket.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError:
            more = b""
        if not more:
            return BROKEN
        self.received += more
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        return int(head.split(b" ", 2)[1]) if len(rest) >= int(length[1] if length else 0) else None


def run_arrivals(port: int, wire: Wire, *, rate: float, seconds: float, seed: int = 0) -> Arrivals:
    """Send requests at moments of a Poisson process and wait for what they bring.

    Args:
        port: of the server, on 127.0.0.1.
        wire: what is sent.
        rate: requests a second.
        seconds: for which they arrive.
        seed: of the moments.
    """
    lines = [f"POST {wire.path} HTTP/1.1", "Host: a", f"Content-Length: {len(wire.body)}"]
    lines += [f"{name}: {value}" for name, value in wire.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode() + wire.body
    moments = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds * 1.2) + 16).cumsum()
    loop = _OpenLoop(port, request)
    return loop.run(moments[moments < seconds].tolist())


class _OpenLoop:
    def __init__(self, port: int, request: bytes) -> None:
        self._port, self._request = port, request
        self._idle: deque[_Connection] = deque()
        self._selector = selectors.EpollSelector()
        self._busy = 0
        self._told = Arrivals()
        self._bodies: dict[bytes, bytes] = {}

    def run(self, moments: list[float]) -> Arrivals:
        start = time.perf_counter()
        for moment in moments:
            while (left := start + moment - time.perf_counter()) > 0 or not self._has_room():
                self._turn(max(left, 0.001))
            self._told.late_s = max(self._told.late_s, -left)
            self._send(start + moment)
        end = time.perf_counter() + LINGER_S
        while self._busy and time.perf_counter() < end:
            self._turn(0.05)
        self._told.statuses[BROKEN] += self._busy  # never answered
        self._told.seconds = time.perf_counter() - start
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        for connection in self._idle:
            connection.socket.close()
        self._selector.close()
        return self._told

    def _has_room(self) -> bool:
        return bool(self._idle) or self._busy < MOST_CONNECTIONS

    def _send(self, moment: float) -> None:
        self._told.offered += 1
        try:
            connection = self._idle.pop() if self._idle else _Connection(self._port)
        except ConnectionRefusedError:
            self._told.statuses[CLOSED] += 1
            return
        self._busy += 1
        try:
            connection.send(self._request, moment)
        except OSError:
            self._done(connection, BROKEN)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        self._selector.register(connection.socket, events, connection)

    def _turn(self, wait_s: float) -> None:
        for key, events in self._selector.select(wait_s if wait_s > 0.0005 else 0):
            connection: _Connection = key.data
            if events & selectors.EVENT_WRITE:
                connection.go_on()
                if not connection.unsent:
                    self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            status = connection.receive() if events & selectors.EVENT_READ else None
            if status is not None:
                self._selector.unregister(connection.socket)
                self._done(connection, status)

    def _done(self, connection: _Connection, status: int) -> None:
        self._busy -= 1
        self._told.statuses[status] += 1
        if status == 200:
            self._told.latencies_s.append(time.perf_counter() - connection.moment)
            body = connection.received.partition(b"\r\n\r\n")[2]
            self._told.answers.append((connection.moment, self._bodies.setdefault(body, body)))
        if status != BROKEN:
            self._idle.append(connection)
        else:
            self._told.broken_s.append(connection.sent)
            connection.socket.close()
