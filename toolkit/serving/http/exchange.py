"""One request and its answer over HTTP: the body under a cap, unpacked; a client that went away; headers that count."""

from __future__ import annotations

__all__ = ["Exchange"]

import asyncio
import hmac
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import HEADER_LENGTH, Reply
from toolkit.serving.job import Arrays
from toolkit.serving.repository import HeldBytes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Most requests are answered before it is worth while to look whether somebody still waits.
WATCH_AFTER_S = 0.1
# What nginx writes into its log for a client that closed its connection; nobody reads it.
CLIENT_GONE = 499
GZIP_OR_ZLIB = 47
FORM_REFUSED = (
    "the body is a form (multipart), as curl -F sends; infer takes JSON, and /v2/models/NAME/classify the bytes of a"
    " picture alone: curl --data-binary @FILE"
)


class Exchange:
    """A request as an ASGI server hands it over.

    Attributes:
        method: GET, POST ...
        headers: by lower-case names; of one that came twice the last.
        wants_close: whether the connection is to end after the answer, because the rest of the body is not read.
    """

    def __init__(self, scope: Message, *, receive: Receive, send: Send, held: HeldBytes) -> None:
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.wants_close = False
        self._receive, self._send = receive, send
        self._watching: asyncio.Task[None] | None = None
        self._is_gone = False
        self._held, self._taken = held, 0

    async def read_body(self, most_bytes: int) -> bytes:
        """Return the body, unpacked.

        Raises:
            RefusedError: it is a form, larger than the cap, packed in a way that is not known, or not packed as
                it says.
        """
        if self.headers.get(b"content-type", b"").strip().lower().startswith(b"multipart/"):
            raise self._cut(FORM_REFUSED, status=415)
        packing = self.headers.get(b"content-encoding", b"identity").strip().lower()
        if packing not in {b"identity", b"gzip", b"deflate", b""}:
            raise self._cut(
                f"Content-Encoding {packing[:20].decode('latin-1')!r} is unknown; expected gzip", status=415
            )
        if int(self.headers.get(b"content-length", b"0")) > most_bytes:
            raise self._too_large(most_bytes)
        body, more = bytearray(), True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RefusedError("the client went away", status=CLIENT_GONE)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > most_bytes:
                raise self._too_large(most_bytes)
            self._hold(len(body))
        if packing in {b"gzip", b"deflate"}:
            body = bytearray(await asyncio.to_thread(self._unpack, bytes(body), most_bytes))
            self._hold(len(body))
        return bytes(body)

    def header_length(self) -> int | None:
        """Return how long the JSON before binary data is; None where the header is not there.

        Raises:
            RefusedError: it is no number.
        """
        text = self.headers.get(HEADER_LENGTH)
        if text is None:
            return None
        if not text.isdigit() or len(text) > 18:
            seen = text[:20].decode("latin-1")
            raise RefusedError(
                f"Inference-Header-Content-Length is {seen!r}; expected the bytes of JSON before binary data"
            )
        return int(text)

    def require_token(self, token: bytes) -> None:
        """Refuse who does not send the token; takes the same time whatever is sent.

        Raises:
            RefusedError: it is not the token, or there is none.
        """
        if not hmac.compare_digest(self.headers.get(b"authorization", b""), b"Bearer " + token):
            raise RefusedError("a bearer token is needed: Authorization: Bearer ...", status=401)

    async def wait_for(self, answer: asyncio.Future[Arrays]) -> Arrays:
        """Wait for outputs; they are cancelled where the client goes away meanwhile.

        Raises:
            RefusedError: it went away.
        """
        timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._watch, answer)
        try:
            return await answer
        except asyncio.CancelledError as error:
            if self._is_gone:
                raise RefusedError("the client went away", status=CLIENT_GONE) from error
            raise
        finally:
            timer.cancel()
            if self._watching is not None:
                self._watching.cancel()

    async def send(self, answer: Reply) -> None:
        """Send an answer, whole."""
        length = (b"content-length", b"%d" % len(answer.body))
        closing = ((b"connection", b"close"),) if self.wants_close else ()
        headers = [*answer.headers, length, *closing]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    def let_go(self) -> None:
        """Forget the body."""
        self._hold(0)

    def _hold(self, size: int) -> None:
        try:
            self._held.add(size - self._taken)
        except RefusedError:
            self.wants_close = True
            raise
        self._taken = size

    def _watch(self, answer: asyncio.Future[Arrays]) -> None:
        async def watch() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self._is_gone = True
            answer.cancel()

        self._watching = asyncio.create_task(watch())

    def _cut(self, message: str, *, status: int) -> RefusedError:
        self.wants_close = True
        return RefusedError(message, status=status)

    def _too_large(self, most_bytes: int) -> RefusedError:
        return self._cut(f"the body is larger than {most_bytes} bytes, the most that a request can need", status=413)

    def _unpack(self, body: bytes, most_bytes: int) -> bytes:
        unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
        try:
            unpacked = unpacker.decompress(body, most_bytes + 1)
        except zlib.error as error:
            raise RefusedError(f"cannot decompress the body: {error}") from error
        if len(unpacked) > most_bytes:
            raise self._too_large(most_bytes)
        if not unpacker.eof or unpacker.unused_data:
            raise RefusedError("cannot decompress the body: it is cut off, or something follows it")
        return unpacked
