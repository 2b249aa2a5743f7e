"""A server, from models in files to its last answer."""

from __future__ import annotations

__all__ = ["ServedFile", "read_token", "serve"]

import asyncio
import contextlib
import os
import socket
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from toolkit.environment import usable_cores
from toolkit.errors import ResourceError, StoppedError
from toolkit.onnx_file.external_data import read_model
from toolkit.prediction.open_model import settings_of
from toolkit.regular_file import open_regular
from toolkit.runtimes.base import RuntimeSettings
from toolkit.serving.config import ServeConfig
from toolkit.serving.engine import Engine
from toolkit.serving.http.application import MOST_PICTURE_BYTES, Application, Page
from toolkit.serving.http.server import HttpServer, bind
from toolkit.serving.reloading import Place, Reloader, stamp_of
from toolkit.serving.repository import ModelRepository
from toolkit.serving.served_model import ServedModel

MOST_TOKEN_BYTES = 4096


class ServedFile(NamedTuple):
    """A model file and the name that it is served under."""

    name: str
    path: Path


def serve(
    files: Sequence[ServedFile],
    config: ServeConfig,
    *,
    tell: Callable[[str], None],
    on_ready: Callable[[str, list[ServedModel]], None],
    make_page: Callable[[ServedModel], Page] | None = None,
) -> None:
    """Serve models until a signal ends it; what was accepted by then is answered.

    Args:
        files: at least one; several of one name are its versions 1, 2 ..., of which the last answers where none is
            asked for.
        config: how.
        tell: is given a line where something is worth one.
        on_ready: is given the address and the models once requests are taken.
        make_page: what `GET /` shows of the first model; None: nothing.

    Raises:
        StoppedError: a second signal did not wait for the end.
        ModelError, ProviderError, CheckFailedError, ResourceError: a model cannot be served, the port is in use, a
            certificate or the token cannot be read.
    """
    token = read_token(config.token_file) if config.token_file else b""
    with contextlib.ExitStack() as sockets:
        bound, second = _bind_ports(config, sockets)
        settings = settings_of(replace(config.engine, threads=config.engine.threads or max(1, usable_cores() - 1)))
        places = _open_all(files, config, settings=settings)
        models = [place.model for place in places]
        repository = ModelRepository(models)
        reloader = Reloader(places, repository=repository, config=config, settings=settings, tell=tell)
        application = Application(
            repository,
            token=token,
            make_page=make_page or (lambda _: {}),
            reloader=reloader if config.repository else None,
            tell=tell,
        )
        server = HttpServer(
            application,
            config,
            repository=repository,
            most_body_bytes=max(MOST_PICTURE_BYTES, repository.most_body_bytes),
            on_started=lambda: on_ready(_address(bound, config), models),
        )
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            also = _open_grpc(second, repository, config=config, token=token, tell=tell)
            runner.run(_live(server, reloader, bound=bound, also=also))
    if server.forced_by:
        raise StoppedError("ended without waiting for what was asked", signal=server.forced_by)


def _bind_ports(config: ServeConfig, sockets: contextlib.ExitStack) -> tuple[socket.socket, socket.socket | None]:
    """Return a socket for HTTP and one for gRPC, where that is served."""
    bound = sockets.enter_context(bind(config.host, config.port, option="--port"))
    if config.grpc_port is None:
        return bound, None
    return bound, sockets.enter_context(bind(config.host, config.grpc_port, option="--grpc-port"))


def _open_grpc(
    bound: socket.socket | None,
    repository: ModelRepository,
    *,
    config: ServeConfig,
    token: bytes,
    tell: Callable[[str], None],
) -> contextlib.AbstractAsyncContextManager[None]:
    if bound is None:
        return contextlib.nullcontext()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would write a line of each stranger's bytes
    from toolkit.serving.grpc.server import serving_grpc  # who wants no gRPC loads none

    return serving_grpc(bound, repository, config=config, token=token, tell=tell)


async def _live(
    server: HttpServer, reloader: Reloader, *, bound: socket.socket, also: contextlib.AbstractAsyncContextManager[None]
) -> None:
    try:
        await reloader.start()
        async with also:
            await server.serve(sockets=[bound])
    finally:
        await reloader.close()


def _open_all(files: Sequence[ServedFile], config: ServeConfig, *, settings: RuntimeSettings) -> list[Place]:
    """Open all models at the same time; where one cannot be served, none is."""
    stamps = [stamp_of(file.path) for file in files]
    sources = [read_model(file.path, allow_external_data=config.allow_external_data) for file in files]
    with ThreadPoolExecutor(len(files)) as pool:
        opening = [pool.submit(Engine, source, settings, max_batch=config.max_batch) for source in sources]
    engines = [task.result() for task in opening if task.exception() is None]
    try:
        for task in opening:
            task.result()
    except BaseException:
        for engine in engines:
            engine.opened.worker.close()
        raise
    seen: Counter[str] = Counter()
    places = []
    for file, engine, stamp in zip(files, engines, stamps, strict=True):
        seen[file.name] += 1
        model = ServedModel(file.name, str(seen[file.name]), engine=engine, config=config)
        places.append(Place(file.path, model, seen=stamp))
    return places


def read_token(path: Path) -> bytes:
    """Return the token that a file holds.

    Raises:
        ResourceError: others can read it, too, or it is no token.
    """
    with open_regular(path, most_bytes=MOST_TOKEN_BYTES, name=f"the token file {path}", raises=ResourceError) as file:
        mode, token = os.fstat(file.fileno()).st_mode, file.read(MOST_TOKEN_BYTES).strip()
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ResourceError(
            f"the token file {path} is open to others (mode {mode & 0o777:o}); close it: chmod 600 {path}"
        )
    if not token or not token.isascii() or b"\n" in token:
        raise ResourceError(f"the token file {path} holds no token; expected one line of ASCII")
    return token


def _address(bound: socket.socket, config: ServeConfig) -> str:
    host, port = bound.getsockname()[:2]
    scheme = "https" if config.tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
