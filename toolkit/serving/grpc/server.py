"""The library's gRPC server (grpcio) on the event loop of HTTP's, with limits of ours, health and reflection."""

from __future__ import annotations

__all__ = ["serving_grpc"]

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from toolkit.errors import ResourceError
from toolkit.serving.config import ServeConfig
from toolkit.serving.grpc.calls import Calls
from toolkit.serving.grpc.messages import POOL, SERVICE
from toolkit.serving.grpc.service import InferenceService
from toolkit.serving.repository import HeldBytes, ModelRepository

# Calls on one connection at the same time. RFC 9113, section 6.5.2: not smaller than 100.
MOST_CALLS = 100
IDLE_S = 75
# Until a connection that says nothing is asked whether it is there, and until it is given up.
PING_S, PONG_S = 30, 10
# At the end, how long those may take to read their answers who do not.
SLOW_READER_S = 5
HEALTH_EVERY_S = 0.1
HEALTH, REFLECTION = "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"


@contextlib.asynccontextmanager
async def serving_grpc(
    bound: socket.socket,
    repository: ModelRepository,
    *,
    config: ServeConfig,
    token: bytes,
    tell: Callable[[str], None],
) -> AsyncIterator[None]:
    """Serve models over gRPC, too, for as long as the block lasts; answers that are on their way are sent.

    Args:
        bound: has the port, and is closed: the library takes no socket.
        repository: what is served.
        config: TLS and limits.
        token: what clients have to send; empty: nothing.
        tell: is given the address, and a line where the server itself failed.

    Raises:
        ResourceError: somebody else took the port meanwhile.
    """
    server = _Server(repository, config, token=token, tell=tell)
    tell(f"{await server.start(bound)} serves the same over gRPC")
    try:
        yield
    finally:
        await server.stop()


class _Server:
    def __init__(
        self, repository: ModelRepository, config: ServeConfig, *, token: bytes, tell: Callable[[str], None]
    ) -> None:
        self._repository, self._config = repository, config
        self._health = health.aio.HealthServicer()
        self._watching: asyncio.Task[None] | None = None
        self._calls = Calls(
            token=token,
            most_bytes=repository.most_body_bytes,
            held=HeldBytes(repository.most_held_bytes),
            receive_s=config.receive_s,
            tell=tell,
        )
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", repository.most_body_bytes),
                ("grpc.max_concurrent_streams", MOST_CALLS),
                ("grpc.max_allowed_incoming_connections", config.max_connections),
                ("grpc.server_handshake_timeout_ms", round(config.receive_s * 1e3)),
                ("grpc.max_connection_idle_ms", IDLE_S * 1000),
                ("grpc.keepalive_time_ms", PING_S * 1000),
                ("grpc.keepalive_timeout_ms", PONG_S * 1000),
            ]
        )
        own = {SERVICE.full_name: InferenceService(repository).handlers(self._calls), **self._library_handlers()}
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, handlers) for service, handlers in own.items()]
        )

    async def start(self, bound: socket.socket) -> str:
        """Take calls from now on; return the address."""
        host, port = bound.getsockname()[:2]
        address = f"{f'[{host}]' if ':' in host else host}:{port}"
        bound.close()
        try:
            if (credentials := _make_credentials(self._config)) is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ResourceError(f"cannot serve gRPC at {address}: give another port with --grpc-port") from error
        await self._server.start()
        self._watching = asyncio.create_task(self._tell_health())
        return f"grpc{'s' if credentials else ''}://{address}"

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self._health.enter_graceful_shutdown()
        self._calls.end_streams()
        await self._server.stop(SLOW_READER_S)

    async def _tell_health(self) -> None:
        words = health_pb2.HealthCheckResponse
        while True:
            for service in ("", SERVICE.full_name):
                await self._health.set(service, words.SERVING if self._repository.is_ready else words.NOT_SERVING)
            await asyncio.sleep(HEALTH_EVERY_S)

    def _library_handlers(self) -> dict[str, dict[str, Any]]:
        """Return the handlers of health and reflection: the library's answers to messages that are read as ours are."""
        for described in (health_pb2, reflection_pb2):
            POOL.AddSerializedFile(described.DESCRIPTOR.serialized_pb)
        reflected = reflection.aio.ReflectionServicer((SERVICE.full_name, HEALTH, REFLECTION), pool=POOL)

        async def watch(messages: AsyncIterator[Any], context: Any) -> None:
            async for message in messages:
                await self._health.Watch(message, context)

        async def reflect(messages: AsyncIterator[Any], context: Any) -> None:
            async for told in reflected.ServerReflectionInfo(messages, context):
                await context.write(told)

        asked = health_pb2.HealthCheckRequest
        return {
            HEALTH: {
                "Check": self._calls.unary(asked, self._health.Check, is_open=True),
                "Watch": self._calls.stream(asked, watch, is_open=True),
            },
            REFLECTION: {"ServerReflectionInfo": self._calls.stream(reflection_pb2.ServerReflectionRequest, reflect)},
        }


def _make_credentials(config: ServeConfig) -> Any:
    """Return how connections are kept secret; None where they are not. The files were read before, for HTTP."""
    if config.tls_certificate is None or config.tls_key is None:
        return None
    authority = config.tls_client_authority
    return grpc.ssl_server_credentials(
        [(config.tls_key.read_bytes(), config.tls_certificate.read_bytes())],
        root_certificates=authority.read_bytes() if authority else None,
        require_client_auth=authority is not None,
    )
