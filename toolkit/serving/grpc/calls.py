"""One call and its end: who may ask, a message under a cap and in time, and refusals as gRPC's codes."""

from __future__ import annotations

__all__ = ["Calls"]

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.repository import HeldBytes

# Of HTTP's statuses, gRPC's codes.
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.UNAVAILABLE,
    499: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Messages of one method that come in at the same time, where the largest are so large that fewer would be held.
LEAST_RECEIVED = 16
# Answers a message in a context; returns the answer's message.
Answer = Callable[[Any, Any], Awaitable[Any]]


class Calls:
    """Makes handlers of what answers a message; a message is read only once there is room for it.

    The library would take in messages of every call at the same time and wait for them for ever.

    Args:
        token: what clients have to send; empty: nothing.
        most_bytes: of a message.
        held: of all messages together, from when they came until they are answered.
        receive_s: most seconds for a message to come in.
        tell: is given a line where the server itself failed.
    """

    def __init__(
        self, *, token: bytes, most_bytes: int, held: HeldBytes, receive_s: float, tell: Callable[[str], None]
    ) -> None:
        self._token, self._held, self._receive_s, self._tell = token, held, receive_s, tell
        self._at_once = max(LEAST_RECEIVED, held.most // most_bytes)
        self._streams: set[asyncio.Future[None]] = set()

    def unary(self, request: Any, answer: Answer, *, is_open: bool = False) -> Any:
        """Return a handler that answers one message with one.

        Args:
            request: the message's class.
            answer: answers it.
            is_open: whether it needs no token.
        """
        gate = asyncio.Semaphore(self._at_once)

        async def handle(_: Any, context: Any) -> bytes:
            async with self._ending(context):
                self._require_token(context, is_open=is_open)
                data = await self._receive(context, gate)
                if data is None:
                    raise RefusedError("the call came without a message")
                with self._holding(len(data)):
                    response: bytes = (await answer(_parse(request, data), context)).SerializeToString()
            return response

        return grpc.stream_unary_rpc_method_handler(handle)

    def stream(
        self, request: Any, answer: Callable[[AsyncIterator[Any], Any], Awaitable[None]], *, is_open: bool = False
    ) -> Any:
        """Return a handler that answers messages with any number of them, until its client ends, or the server."""
        gate = asyncio.Semaphore(self._at_once)

        async def messages(context: Any) -> AsyncIterator[Any]:
            while (data := await self._receive(context, gate)) is not None:
                yield _parse(request, data)

        async def handle(_: Any, context: Any) -> None:
            async with self._ending(context):
                self._require_token(context, is_open=is_open)
                answering = asyncio.ensure_future(answer(messages(context), context))
                self._streams.add(answering)
                try:
                    await answering
                except asyncio.CancelledError:
                    if answering in self._streams:  # its client went away
                        raise
                finally:
                    self._streams.discard(answering)

        return grpc.stream_stream_rpc_method_handler(handle, response_serializer=lambda told: told.SerializeToString())

    def end_streams(self) -> None:
        """End what would last for as long as its clients do."""
        streams, self._streams = self._streams, set()
        for stream in streams:
            stream.cancel()

    @contextlib.asynccontextmanager
    async def _ending(self, context: Any) -> AsyncIterator[None]:
        """Turn what is raised into the call's status."""
        try:
            yield
        except RefusedError as error:
            refused = error
        except grpc.aio.BaseError:  # the call is over
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours: the client is told so and the server lives on
            self._tell(f"a call over gRPC failed: {type(error).__name__}: {error}")
            refused = RefusedError("the server failed; its own log says how", status=500)
        else:
            return
        # gRPC's word for Retry-After: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
        after = (("grpc-retry-pushback-ms", f"{refused.retry_after_s}000"),) if refused.retry_after_s else ()
        await context.abort(CODES[refused.status], str(refused), after)

    def _require_token(self, context: Any, *, is_open: bool) -> None:
        if is_open or not self._token:
            return
        sent = dict(context.invocation_metadata()).get("authorization", "")
        if not hmac.compare_digest(sent.encode(), b"Bearer " + self._token):
            raise RefusedError("a bearer token is needed: metadata authorization: Bearer ...", status=401)

    async def _receive(self, context: Any, gate: asyncio.Semaphore) -> bytes | None:
        """Return the next message; None: there is none."""
        async with gate:
            try:
                data = await asyncio.wait_for(context.read(), self._receive_s)
            except TimeoutError as error:
                raise RefusedError(f"no message came in within {self._receive_s:g} s", status=408) from error
        return None if data is grpc.aio.EOF else data

    @contextlib.contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        self._held.add(size)
        try:
            yield
        finally:
            self._held.add(-size)


def _parse(message: Any, data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise RefusedError(f"the message is no {message.DESCRIPTOR.name}: {error}") from error
