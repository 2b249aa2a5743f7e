"""Many requests to one server, begun without waiting for those before; over HTTP on an event loop in a thread.

`http.client` in threads takes three times the processor for a request: the client would be what is measured.
"""

from __future__ import annotations

__all__ = ["CallSender", "HttpSender"]

import asyncio
import contextlib
import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from toolkit.closing import Closing
from toolkit.programs import import_extra
from toolkit.runtimes.oip.connections import MOST_S, Connections
from toolkit.runtimes.query import Missed, Query, take_up

# One that finds no idle connection opens one, up to so many; then it waits, which is the server's time.
MOST_CONNECTIONS = 256
WORDS_BYTES = 300
REFUSALS = (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE)


class HttpSender(Closing):
    """Sends the same request again and again, on as many connections as are needed at once.

    Args:
        server: where to.
        path: of the model's inference.
        body: of the request.
        headers: of the request.
        at_once: most requests on their way.

    Raises:
        ResourceError: the parser of HTTP is not installed.
    """

    def __init__(
        self, server: Connections, path: str, *, body: bytes, headers: dict[str, str], at_once: int | None
    ) -> None:
        httptools = import_extra("httptools", extra="loadgen", user="what sends many requests at once")
        self._server, self._parse = server, httptools.HttpResponseParser
        self._request = server.write_request("POST", path, body=body, headers=headers)
        self._at_once = at_once or MOST_CONNECTIONS
        self._waiting: deque[Query] = deque()
        self._idle: list[_Connection] = []
        self._connections: set[_Connection] = set()
        self._opening = 0
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)
        self._thread.start()
        self._loop.call_soon_threadsafe(self._end_late)

    def send(self, queries: Sequence[Query]) -> None:
        """Begin these queries; each is told when it has its answer, or has missed it."""
        self._loop.call_soon_threadsafe(self._take, queries)

    def close(self) -> None:
        """End all connections and the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join()
            self._loop.close()

    def _take(self, queries: Sequence[Query]) -> None:
        take_up(queries, self._waiting)
        self._pump()

    def _pump(self) -> None:
        while self._waiting:
            if self._idle:
                self._idle.pop().begin(self._waiting.popleft(), self._request)
            elif len(self._connections) + self._opening < self._at_once:
                self._opening += 1
                self._loop.create_task(self._open(self._waiting.popleft()))
            else:
                return

    async def _open(self, query: Query) -> None:
        try:
            host, port, context = self._server.host, self._server.port, self._server.context
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self._parse, free=self._free, lose=self._lose), host, port, ssl=context
            )
        except OSError as error:
            query.miss(Missed(False, f"no connection: {error.strerror or error}"))
            return
        finally:
            self._opening -= 1
        self._connections.add(connection)
        connection.begin(query, self._request)

    def _free(self, connection: _Connection) -> None:
        self._idle.append(connection)
        self._pump()

    def _lose(self, connection: _Connection, again: Query | None) -> None:
        self._connections.discard(connection)
        if again is not None:
            self._waiting.appendleft(again)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._pump()

    def _end_late(self) -> None:
        limit = time.perf_counter_ns() - round(MOST_S * 1e9)
        for connection in list(self._connections):
            if connection.query is not None and connection.query.sent_ns < limit:
                connection.abort(f"no answer within {MOST_S:g} s")
        self._loop.call_later(1.0, self._end_late)

    def _stop(self) -> None:
        for connection in list(self._connections):
            connection.abort("the client ends")
        self._loop.call_soon(self._loop.stop)


class _Connection(asyncio.Protocol):
    """One connection, with at most one query on its way."""

    def __init__(
        self, parse: type, *, free: Callable[[_Connection], None], lose: Callable[[_Connection, Query | None], None]
    ) -> None:
        self._parser, self._free, self._lose = parse(self), free, lose
        self.query: Query | None = None
        self._body = b""
        self._why = "the connection ended without an answer"
        self._is_kept = self._has_heard = self._is_ours = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # of a stream it is one

    def begin(self, query: Query, request: bytes) -> None:
        """Send a request."""
        self.query, self._body, self._has_heard = query, b"", False
        query.sent_ns = time.perf_counter_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._has_heard = True
        try:
            self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001 - the parser's own, whose package may not be here
            self.abort(f"no answer in HTTP: {error}")

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if len(self._body) < WORDS_BYTES:
            self._body += data[:WORDS_BYTES]

    def on_message_complete(self) -> None:
        """Called by the parser."""
        query, self.query = self.query, None
        status = self._parser.get_status_code()
        if query is None:
            self._transport.abort()
        elif status == http.client.OK:
            query.end()
        else:
            words = f"{status}: {' '.join(self._body.decode('ascii', 'replace').split())}"
            query.miss(Missed(status in REFUSALS, words))
        if self._parser.should_keep_alive():
            self._is_kept = True
            self._free(self)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        query, self.query = self.query, None
        # A kept connection may end while a request is on its way: that one is sent again, on another.
        again = query if self._is_kept and not self._has_heard and not self._is_ours else None
        self._lose(self, again)
        if query is not None and again is None:
            query.miss(Missed(False, str(error) if error else self._why))

    def abort(self, why: str) -> None:
        """End the connection."""
        self._why, self._is_ours = why, True
        self._transport.abort()


class CallSender(Closing):
    """Begins the same call again and again, by a library that tells when one is over.

    Args:
        begin: begins a call; what it returns takes a function by `add_done_callback`, as futures of gRPC do.
        tell: what became of a call; None where it was answered.
        at_once: most calls under way.
    """

    def __init__(
        self, begin: Callable[[], Any], *, tell: Callable[[Any], Missed | None], at_once: int | None = None
    ) -> None:
        self._begin, self._tell, self._most = begin, tell, at_once or MOST_CONNECTIONS
        self._waiting: deque[Query] = deque()
        self._lock, self._flying = threading.Lock(), 0

    def send(self, queries: Sequence[Query]) -> None:
        """Begin these queries; each is told when it has its answer, or has missed it."""
        take_up(queries, self._waiting)
        self._pump()

    def _pump(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._flying >= self._most:
                    return
                query = self._waiting.popleft()
                self._flying += 1
            query.sent_ns = time.perf_counter_ns()
            self._begin().add_done_callback(partial(self._end, query))

    def _end(self, query: Query, call: Any) -> None:
        with self._lock:
            self._flying -= 1
        missed = self._tell(call)
        if missed is None:
            query.end()
        else:
            query.miss(missed)
        self._pump()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
