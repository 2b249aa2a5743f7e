"""Requests to one server over HTTP, on connections that are kept; each is one thread's at a time."""

from __future__ import annotations

__all__ = ["MOST_BYTES", "MOST_S", "TLS_HINTS", "UNTRUSTED", "Connections", "ServerAnswer"]

import contextlib
import http.client
import json
import queue
import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from toolkit.errors import ResourceError, WrongAnswerError
from toolkit.runtimes.oip.address import Address, read_token

# Of one answer, by whatever road.
MOST_S = 60.0
MOST_BYTES = 1 << 30
PIECE_BYTES = 1 << 20
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
# Of `ssl`: the reason, and what a user can do about it.
TLS_HINTS = {
    "WRONG_VERSION_NUMBER": "it speaks no TLS: write http://",
    UNTRUSTED: "its certificate is not trusted here: name that of its authority in SSL_CERT_FILE",
}


class ServerAnswer(NamedTuple):
    """What came back: of HTTP the status and the headers, and the body whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def words(self) -> str:
        """What the server says of an error, or where it sends us, and the status."""
        if 300 <= self.status < 400:
            return f"{self.status}: it sends to {str(self.headers.get('Location'))[:200]!r}"
        try:
            told = json.loads(self.body)["error"]
        except (ValueError, TypeError, KeyError):
            told = self.body[:80].decode("ascii", "replace")
        return f"{self.status}: {' '.join(str(told).split())[:300]}"


class Connections:
    """Connections to one server that are kept between requests; each is one thread's at a time.

    Attributes:
        host: name or address.
        port: of it.
        context: of TLS; None without.
    """

    def __init__(self, address: Address) -> None:
        self._url, self._base = address.url, address.base
        self._idle: queue.SimpleQueue[http.client.HTTPConnection] = queue.SimpleQueue()
        self.context = ssl.create_default_context() if address.scheme == "https" else None
        self.host, self.port = address.host, address.port or (443 if self.context else 80)
        self._host_header = f"{address.bracketed}:{self.port}"
        tls = "" if address.scheme == "https" else "; a server with TLS wants https://"
        self._hint = f"see that a server runs there, or name another with --at{tls}"
        self._always = {"Authorization": token} if (token := read_token()) else {}

    def ask(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ServerAnswer:
        """Send one request and read its answer.

        Raises:
            ResourceError: nobody answers, or not in HTTP.
        """
        request = method, self._base + path, body or None, {**self._always, **(headers or {})}
        try:
            try:
                return self._exchange(request, self._take_idle())
            except ConnectionError:  # a kept connection may end while a request is on its way
                self.close()
                return self._exchange(request, self._connect())
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
            hint = TLS_HINTS.get(getattr(error, "reason", ""), self._hint)
            raise ResourceError(
                f"{self._url} does not answer in HTTP: {' '.join(reason.split())[:200]}; {hint}"
            ) from error

    def write_request(self, method: str, path: str, *, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the bytes of a request, for those who send it themselves."""
        named = {"Host": self._host_header, "Content-Length": str(len(body)), **self._always, **headers}
        lines = [f"{method} {self._base}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def _connect(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=MOST_S)
        return http.client.HTTPSConnection(self.host, self.port, timeout=MOST_S, context=self.context)

    def _exchange(self, request: tuple[Any, ...], connection: http.client.HTTPConnection) -> ServerAnswer:
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(*request)  # a server that refuses a body answers before it has all of it
            answer = connection.getresponse()
            data = self._read(answer)
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        if len(data) > MOST_BYTES:
            raise WrongAnswerError(f"{self._url} answers with more than {MOST_BYTES >> 20} MiB")
        return ServerAnswer(answer.status, answer.headers, data)

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        """Return a body, which has to be there in time as a whole: the connection waits for each piece alone."""
        data, end = bytearray(), time.monotonic() + MOST_S
        while (piece := answer.read1(PIECE_BYTES)) and len(data) <= MOST_BYTES:
            data += piece
            if time.monotonic() > end:
                raise TimeoutError(f"{len(data)} bytes of an answer came in {MOST_S:g} s, and more are to come")
        answer.close()  # `read1` leaves it open at its end, and the connection taken
        return bytes(data)

    def _take_idle(self) -> http.client.HTTPConnection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._connect()

    def close(self) -> None:
        """Close what is idle."""
        while not self._idle.empty():
            self._idle.get_nowait().close()
