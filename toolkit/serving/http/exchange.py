"""One request as far as it has come in: the body under a cap, unpacked; a client that went away; headers that count."""

from __future__ import annotations

__all__ = ["Exchange", "HeldBytes"]

import asyncio
import functools
import hmac
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import HEADER_LENGTH

Awaited = TypeVar("Awaited")
# What nginx writes into its log for a client that closed its connection; nobody reads it.
CLIENT_GONE = 499
GZIP_OR_ZLIB = 47
FORM_REFUSED = (
    "the body is a form (multipart), as curl -F sends; infer takes JSON, and /v2/models/NAME/classify the bytes of a"
    " picture alone: curl --data-binary @FILE"
)


@dataclass(slots=True)
class HeldBytes:
    """Bytes of bodies that are in memory, of all requests together.

    Attributes:
        most: at the same time.
        now: at this time.
    """

    most: int
    now: int = 0


class Exchange:
    """A request; its connection brings what comes of it and takes the answer away.

    Attributes:
        method: GET, POST ...
        parts: of the path, what stands between its slashes.
        headers: by lower-case names; of one that came twice the last.
        wants_close: whether the connection is to end after the answer: so the client says, or the rest is not read.

    Args:
        method: as above.
        path: without the query.
        headers: as above.
        ask: called when the body is wanted and more of it is to come.
        held: of all requests.
    """

    def __init__(
        self, method: str, path: bytes, *, headers: Mapping[bytes, bytes], ask: Callable[[], None], held: HeldBytes
    ) -> None:
        self.method, self.parts, self.headers, self.wants_close = method, _split(path), headers, False
        self._ask, self._held, self._taken = ask, held, 0
        self._body: bytes | bytearray = b""
        self._is_whole = self._is_over = self._is_gone = False
        self._awaited: asyncio.Future[Any] | None = None

    def take(self, piece: bytes) -> None:
        """Add what came of the body; after the answer nobody reads it."""
        if self._is_over:
            return
        if not self._body:
            self._body = piece  # most bodies come in one piece, and are not copied
        else:
            self._body = bytearray(self._body) if isinstance(self._body, bytes) else self._body
            self._body += piece
        self._go_on()

    def end(self) -> None:
        """Know that the body is whole."""
        self._is_whole = True
        self._go_on()

    def lose(self) -> None:
        """Know that the client went away: nobody waits for the answer any more."""
        self._is_gone = True
        if self._awaited is not None:
            self._awaited.cancel()

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
        while not self._is_whole:
            self._ask()
            await self.wait_for(asyncio.get_running_loop().create_future())
            self._check_size(most_bytes)
        self._check_size(most_bytes)
        body = bytes(self._body)
        if packing in {b"gzip", b"deflate"}:
            body = await asyncio.to_thread(self._unpack, body, most_bytes)
            self._hold(len(body))
        return body

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

    async def wait_for(self, awaited: asyncio.Future[Awaited]) -> Awaited:
        """Wait for outputs, or for more of the body; cancelled where the client goes away meanwhile.

        Raises:
            RefusedError: it went away.
        """
        self._awaited = awaited
        try:
            if self._is_gone:
                awaited.cancel()
            return await awaited
        except asyncio.CancelledError as error:
            if self._is_gone:
                raise RefusedError("the client went away", status=CLIENT_GONE) from error
            raise
        finally:
            self._awaited = None

    def let_go(self) -> None:
        """Forget the body, and what may still come of it."""
        self._is_over, self._body = True, b""
        self._hold(0)

    def _go_on(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def _check_size(self, most_bytes: int) -> None:
        if len(self._body) > most_bytes:
            raise self._too_large(most_bytes)
        self._hold(len(self._body))

    def _hold(self, size: int) -> None:
        if size > self._taken and self._held.now + size - self._taken > self._held.most:
            self.wants_close = True
            raise RefusedError("too many large requests at the same time", status=429, retry_after_s=1)
        self._held.now += size - self._taken
        self._taken = size

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


@functools.lru_cache(maxsize=64)
def _split(path: bytes) -> tuple[str, ...]:
    return tuple(unquote(part) for part in path.decode("latin-1").split("/")[1:])
