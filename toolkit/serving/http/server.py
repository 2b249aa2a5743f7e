"""The library's HTTP server (uvicorn) with limits of ours, and an end that keeps its word."""

from __future__ import annotations

__all__ = ["HttpServer", "bind", "make_tls"]

import asyncio
import errno
import functools
import socket
import ssl
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from toolkit.errors import ResourceError
from toolkit.serving.codec.reply import json_reply
from toolkit.serving.config import ServeConfig
from toolkit.serving.http.application import Application
from toolkit.serving.repository import ModelRepository

# Address and headers of a request, together.
MOST_HEAD_BYTES = 32 << 10
# Requests on one connection that wait for the answers to those before them. The library takes as many as come.
MOST_PIPELINED = 16
# A body in chunks of one byte each takes six times its size on the wire; this bounds what chunks say besides, too.
CHUNKED = 8
KEEP_ALIVE_S = 75
# At the end, looks at which nothing was being answered, a tenth of a second apart: what was sent before the signal and
# lay unread is answered, if only with 503.
LAST_TICKS = 3
# At the end, how long those may take to read their answers who do not.
SLOW_READER_S = 5
BACKLOG = 2048
PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class _Connection(HttpToolsProtocol):
    """A connection that may take so much and so long for a request, and no more."""

    def __init__(self, *given: Any, settings: ServeConfig, most_body_bytes: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self._settings, self._most_body_bytes = settings, most_body_bytes
        self._taken = 0
        self._is_in_head = True
        self._read_at = time.monotonic()
        # Since when a request comes in; None while none does.
        self.receiving_since: float | None = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        super().connection_made(transport)
        if len(self.connections) > self._settings.max_connections:
            self.refuse(503, f"there are {self._settings.max_connections} connections already")

    def data_received(self, data: bytes) -> None:
        if self.receiving_since is None:
            self.receiving_since = time.monotonic()
        self._taken += len(data)
        super().data_received(data)
        if self._is_in_head and self._taken > MOST_HEAD_BYTES:
            self.refuse(431, f"the request's headers are over {MOST_HEAD_BYTES} bytes")
        elif self._taken > CHUNKED * self._most_body_bytes + MOST_HEAD_BYTES:
            self.refuse(413, f"the request is over {self._most_body_bytes} bytes")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if len(self.pipeline) >= MOST_PIPELINED:
            # What is raised here ends the parser's work: one piece from the network may hold thousands more.
            self.transport.abort()
            raise ConnectionAbortedError
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD_BYTES:
            self.refuse(431, f"the request's headers are over {MOST_HEAD_BYTES} bytes")
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._taken, self._is_in_head, self.receiving_since = 0, True, None

    def check_time(self, now: float) -> None:
        """Close where a request takes too long to come in, or its answer to be read."""
        limit_s = self._settings.receive_s
        if self.receiving_since is not None and now - self.receiving_since > limit_s:
            self.refuse(408, f"the request did not come in within {limit_s:g} s")
        if not self.transport.get_write_buffer_size():
            self._read_at = now
        elif now - self._read_at > limit_s:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        self.refuse(400, msg)

    def refuse(self, status: int, message: str) -> None:
        """Answer what the application never sees, and close."""
        if self.transport.is_closing():
            return
        body = json_reply({"error": message}).body
        head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, PHRASES[status], len(body)) + body)
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Serves an application on a socket until a signal ends it.

    Attributes:
        forced_by: the second signal, which did not wait for the end; 0: there was none.

    Args:
        application: what answers.
        config: addresses, TLS and limits.
        repository: what is served; looked after here.
        most_body_bytes: of any request.
        on_started: called once requests are taken.

    Raises:
        ResourceError: a certificate or a key cannot be used.
    """

    def __init__(
        self,
        application: Application,
        config: ServeConfig,
        *,
        repository: ModelRepository,
        most_body_bytes: int,
        on_started: Callable[[], None],
    ) -> None:
        settings = uvicorn.Config(
            application,
            http=functools.partial(_Connection, settings=config, most_body_bytes=most_body_bytes),  # type: ignore[arg-type]  # it is called as the class
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SLOW_READER_S,
        )
        settings.load()
        settings.ssl = make_tls(config)
        super().__init__(settings)
        self._repository, self._on_started = repository, on_started
        self.forced_by = self._done_ticks = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take requests from now on."""
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as the base class
        """Begin to end at the first signal, and end without waiting at the second."""
        if self._repository.is_draining:
            self.forced_by, self.force_exit = sig, True
        self._repository.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Do what is to be done ten times a second; return whether the server is to end."""
        await super().on_tick(counter)
        now = time.monotonic()
        for connection in list(self.server_state.connections):
            if isinstance(connection, _Connection):
                connection.check_time(now)
        self._repository.watch()
        is_done = self._repository.is_draining and self._repository.is_idle
        self._done_ticks = self._done_ticks + 1 if is_done else 0
        return self.force_exit or self._done_ticks > LAST_TICKS


def bind(host: str, port: int, *, option: str) -> socket.socket:
    """Return a socket at an address, which nobody can reach before it is served.

    Args:
        host: the address.
        port: 0 takes a free one.
        option: what gives another port, for the message.

    Raises:
        ResourceError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        reason = (error.strerror or str(error)).lower()
        # One of this machine's addresses, or none that is.
        wrong = option if error.errno in {errno.EADDRINUSE, errno.EACCES} else "--host"
        raise ResourceError(f"cannot serve at {host} port {port}: {reason}; give another one with {wrong}") from error
    return bound


def make_tls(config: ServeConfig) -> ssl.SSLContext | None:
    """Return how connections are kept secret; None where they are not.

    Raises:
        ResourceError: a file cannot be used.
    """
    if config.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = config.tls_certificate
    try:
        context.load_cert_chain(file, config.tls_key)
        if config.tls_client_authority is not None:
            file = config.tls_client_authority
            context.load_verify_locations(file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ResourceError(f"{file} cannot be used for TLS: {error.strerror or error}; expected PEM files") from error
    return context
