"""The server: connections on a socket until a signal ends it, and an end that keeps its word."""

from __future__ import annotations

__all__ = ["HttpServer", "bind", "make_tls", "new_event_loop"]

import asyncio
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable

from toolkit.errors import ResourceError
from toolkit.serving.config import ServeConfig
from toolkit.serving.http.application import Application
from toolkit.serving.http.connection import Connection
from toolkit.serving.repository import ModelRepository

# Between two looks at the models, at connections that take too long, and at whether to end.
TICK_S = 0.1
# At the end, how long those may take to read their answers who do not.
SLOW_READER_S = 5
BACKLOG = 2048


class HttpServer:
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
        self._tls, self._repository, self._on_started = make_tls(config), repository, on_started
        self._connections: set[Connection] = set()
        self._connect = lambda: Connection(
            application, config, most_body_bytes=most_body_bytes, connections=self._connections
        )
        self.forced_by = 0

    async def serve(self, bound: socket.socket) -> None:
        """Take requests until a signal comes, and go on until what was taken by then is answered."""
        before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(self._connect, sock=bound, ssl=self._tls, backlog=BACKLOG)
            self._on_started()
            while not self.forced_by and not (self._repository.is_draining and self._repository.is_idle):
                self._look_after()
                await asyncio.sleep(TICK_S)
            server.close()
            await self._close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _look_after(self) -> None:
        self._repository.watch()
        now = time.monotonic()
        for connection in list(self._connections):
            connection.check_time(now)

    def _end(self, number: int, _: object) -> None:
        """Begin to end at the first signal, and end without waiting at the second."""
        if self._repository.is_draining:
            self.forced_by = number
        self._repository.is_draining = True

    async def _close(self) -> None:
        for connection in list(self._connections):
            connection.end()
        latest = time.monotonic() + SLOW_READER_S
        while self._connections and not self.forced_by and time.monotonic() < latest:
            self._look_after()
            await asyncio.sleep(TICK_S / 10)
        for connection in list(self._connections):
            connection.transport.abort()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the fastest event loop that there is."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


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
        raise ResourceError(f"cannot serve at {host} port {port}: {reason}; give another one with {option}") from error
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
