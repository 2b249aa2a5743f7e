"""A connection: requests come in under limits, are answered in their order, and it ends when it is of no more use.

The library's parser (httptools) reads HTTP; what it finds is handed to the application without a layer between.
"""

from __future__ import annotations

__all__ = ["Connection"]

import asyncio
import http
import time
from collections import deque

import httptools

from toolkit.serving.codec.reply import Reply, json_reply
from toolkit.serving.config import ServeConfig
from toolkit.serving.http.application import Application
from toolkit.serving.http.exchange import Exchange

# Address and headers of a request, together.
MOST_HEAD_BYTES = 32 << 10
# Requests on one connection that wait for the answers to those before them.
MOST_PIPELINED = 16
# A body in chunks of one byte each takes six times its size on the wire; this bounds what chunks say besides, too.
CHUNKED = 8
KEEP_ALIVE_S = 75
PHRASES = {status.value: status.phrase.encode() for status in http.HTTPStatus}


class Connection(asyncio.Protocol):
    """A connection that may take so much and so long for a request, and no more.

    Attributes:
        transport: the socket.

    Args:
        application: what answers.
        config: limits.
        most_body_bytes: of any request.
        connections: where it is while it lasts.
    """

    def __init__(
        self, application: Application, config: ServeConfig, *, most_body_bytes: int, connections: set[Connection]
    ) -> None:
        self._application, self._config, self._most_body_bytes = application, config, most_body_bytes
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        # What follows a request that ends the connection is no reason not to answer it.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._waiting: deque[Exchange] = deque()
        self._incoming: Exchange | None = None
        self._url, self._headers = b"", dict[bytes, bytes]()
        self._is_in_head = True
        self._taken = 0
        self._is_read = asyncio.Event()  # what was answered, or nearly all
        self._is_read.set()
        # Since when a request comes in, None while none does; since when nothing has to be read, or to be done.
        self._since: float | None = time.monotonic()
        self._read_at = self._idle_at = self._since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a socket's
        """Take its place among the others, if there is one."""
        self.transport = transport
        self._connections.add(self)
        if len(self._connections) > self._config.max_connections:
            self._refuse(503, f"there are {self._config.max_connections} connections already")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as the base class
        """Tell what was asked that nobody waits any more."""
        self._connections.discard(self)
        self.resume_writing()
        for exchange in self._waiting:
            exchange.lose()

    def pause_writing(self) -> None:
        """Answer no more before the client has read."""
        self._is_read.clear()

    def resume_writing(self) -> None:
        """Go on with what was asked."""
        self._is_read.set()

    def data_received(self, data: bytes) -> None:
        """Parse a piece, and end what takes too much."""
        if self._since is None:
            self._since = time.monotonic()
        self._taken += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing else is spoken here; the request is answered as any other
        except httptools.HttpParserError:
            self._refuse(400, "the request is no HTTP/1.1")
        if self._is_in_head and self._taken > MOST_HEAD_BYTES:
            self._refuse(431, f"the request's headers are over {MOST_HEAD_BYTES} bytes")
        elif self._taken > CHUNKED * self._most_body_bytes + MOST_HEAD_BYTES:
            self._refuse(413, f"the request is over {self._most_body_bytes} bytes")

    def on_message_begin(self) -> None:
        """Know that a request begins; this and those below are called by the parser."""
        self._url, self._headers = b"", {}

    def on_url(self, url: bytes) -> None:
        """Keep a piece of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer is none."""
        if self._is_in_head:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Begin to answer, unless others are before it."""
        self._is_in_head = False
        if len(self._waiting) > MOST_PIPELINED:
            # What is raised here ends the parser's work: one piece from the network may hold thousands more.
            self.transport.abort()
            raise ConnectionAbortedError
        head_bytes = len(self._url) + sum(map(len, self._headers)) + sum(map(len, self._headers.values()))
        if head_bytes > MOST_HEAD_BYTES:
            self._refuse(431, f"the request's headers are over {MOST_HEAD_BYTES} bytes")
            return
        self._incoming = Exchange(
            self._parser.get_method().decode(),
            httptools.parse_url(self._url).path,
            headers=self._headers,
            ask=self._ask,
            held=self._application.held,
        )
        keeps = self._parser.should_keep_alive() and self._parser.get_http_version() != "1.0"
        self._incoming.wants_close = not keeps
        self._waiting.append(self._incoming)
        if len(self._waiting) == 1:
            self._answering = asyncio.get_running_loop().create_task(self._answer())
        else:
            self.transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Hand over a piece of the body."""
        if self._incoming is not None:
            self._incoming.take(body)

    def on_message_complete(self) -> None:
        """Know that a request is whole."""
        if self._incoming is not None:
            self._incoming.end()
        self._incoming, self._taken, self._is_in_head, self._since = None, 0, True, None

    def check_time(self, now: float) -> None:
        """Close where a request takes too long to come in, its answer to be read, or the next one to begin."""
        limit_s = self._config.receive_s
        if self._since is not None and now - self._since > limit_s:
            self._refuse(408, f"the request did not come in within {limit_s:g} s")
        if self._waiting or self._since is not None:
            self._idle_at = now
        elif now - self._idle_at > KEEP_ALIVE_S:
            self.transport.close()
        if not self.transport.get_write_buffer_size():
            self._read_at = now
        elif now - self._read_at > limit_s:
            self.transport.abort()

    def end(self) -> None:
        """Close once what was asked is answered."""
        for exchange in self._waiting:
            exchange.wants_close = True
        if not self._waiting:
            self.transport.close()

    async def _answer(self) -> None:
        """Answer what has come, one after the other."""
        while self._waiting and not self.transport.is_closing():
            exchange = self._waiting[0]
            reply = await self._application.answer(exchange)
            self._send(reply, closes=exchange.wants_close, is_head=exchange.method == "HEAD")
            await self._is_read.wait()
            self._waiting.popleft()
        self._resume()

    def _send(self, reply: Reply, *, closes: bool, is_head: bool = False) -> None:
        if self.transport.is_closing():
            return
        lines = [b"HTTP/1.1 %d %s" % (reply.status, PHRASES[reply.status])]
        lines += [b"%s: %s" % header for header in reply.headers]
        lines += [b"content-length: %d" % len(reply.body), *([b"connection: close"] if closes else []), b"\r\n"]
        self.transport.writelines((b"\r\n".join(lines), b"" if is_head else reply.body))
        if closes:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what the application never sees, and close."""
        self._send(json_reply({"error": message}, status=status), closes=True)

    def _ask(self) -> None:
        """Let more of a body come; who wants to know first whether it may is told so."""
        self._resume()
        if self._headers.pop(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
