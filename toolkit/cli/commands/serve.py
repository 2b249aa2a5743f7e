"""`toolkit serve`: its options, and the settings that follow."""

from __future__ import annotations

__all__ = ["ServeRequest", "serve_command"]

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from toolkit.api.failures import offer_external_data
from toolkit.artifacts import ArtifactStore
from toolkit.cli.completion import engines, models, one_of
from toolkit.cli.context import announce_model, choose_model
from toolkit.cli.options import AllowExternalData, AllowFallback, Provider, command_of, option
from toolkit.errors import UsageError
from toolkit.prediction.config import DEFAULT_RUNTIME, EngineChoice
from toolkit.serving.config import ServeConfig

DEFAULTS = ServeConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """Answer over HTTP by the Open Inference Protocol v2, and prove each model first. SIGTERM or Ctrl-C ends it.

    The bytes of a picture, sent to /v2/models/NAME/classify, are answered with its label.
    """

    model: Annotated[
        list[str] | None,
        typer.Argument(
            help="Any .onnx, or NAME=FILE; several of one name are its versions.",
            show_default="the latest one",
            autocompletion=models,
        ),
    ] = None
    host: Annotated[str | None, option("The address to listen on.", default=DEFAULTS.host)] = None
    port: Annotated[int, option("0 takes a free one.", min=0, max=65535)] = DEFAULTS.port
    grpc_port: Annotated[
        int | None, option("Serve gRPC there, too; 0 takes a free one.", min=0, max=65535, default="no gRPC")
    ] = DEFAULTS.grpc_port
    public: Annotated[bool, option("Let others than this machine in, at every address or --host.", "--public")] = False
    page: Annotated[
        bool | None, option("Show a page at / to try the first model.", "--page/--no-page", default="unless --public")
    ] = None
    provider: Provider = DEFAULTS.engine.provider
    runtime: Annotated[str, option("The engine: ort, openvino, ...", complete=one_of(engines))] = DEFAULT_RUNTIME
    threads: Annotated[int, option("Threads inside one operator.", default="all cores but one")] = 0
    max_batch: Annotated[int, option("Most rows in a call, and in a request.")] = DEFAULTS.max_batch
    max_wait_ms: Annotated[
        float, option("How long a batch waits for more rows while the engine is free.", default="0")
    ] = DEFAULTS.max_wait_ms
    max_queue: Annotated[int, option("Most rows that wait for one model.")] = DEFAULTS.max_queue
    timeout_ms: Annotated[
        float,
        option("How long a request may take that does not say itself.", default="1000, or ten of the largest batches"),
    ] = DEFAULTS.timeout_ms
    max_connections: Annotated[int, option("Most at the same time.", min=1)] = DEFAULTS.max_connections
    token_file: Annotated[Path | None, option("Clients have to send what it holds as a bearer token.")] = None
    tls_cert: Annotated[Path | None, option("Certificates of the server, PEM.")] = None
    tls_key: Annotated[Path | None, option("Its private key, PEM.")] = None
    tls_client_ca: Annotated[Path | None, option("Clients have to show a certificate signed by this one.")] = None
    watch: Annotated[
        bool, option("Take a file that changes, once it is proven; else the old one stays.", "--watch")
    ] = False
    repository: Annotated[
        bool, option("Let clients load, unload and list these models, and go back a file.", "--repository")
    ] = False
    allow_fallback: AllowFallback = False
    allow_external_data: AllowExternalData = False


def _carry_out(request: ServeRequest) -> None:
    everyone = "0.0.0.0"  # noqa: S104 - asked for
    config = ServeConfig(
        engine=EngineChoice(
            runtime=request.runtime,
            provider=request.provider,
            threads=request.threads,
            allow_fallback=request.allow_fallback,
        ),
        host=request.host if request.host is not None else everyone if request.public else DEFAULTS.host,
        port=request.port,
        grpc_port=request.grpc_port,
        public=request.public,
        max_batch=request.max_batch,
        max_wait_ms=request.max_wait_ms,
        max_queue=request.max_queue,
        timeout_ms=request.timeout_ms,
        max_connections=request.max_connections,
        watch=request.watch,
        repository=request.repository,
        allow_external_data=request.allow_external_data,
        token_file=request.token_file,
        tls_certificate=request.tls_cert,
        tls_key=request.tls_key,
        tls_client_authority=request.tls_client_ca,
    )
    for path in (request.token_file, request.tls_cert, request.tls_key, request.tls_client_ca):
        if path is not None and not path.exists():
            raise UsageError(f"no file {path}")
    store = ArtifactStore.default()
    named = [_read_name(text, store) for text in request.model or ()]
    if not named:
        path = choose_model(None, store=store)
        announce_model(path, store=store)
        named = [(path.stem, path)]
    if request.page and request.token_file is not None:
        raise UsageError("--page needs a server that asks for no token: a browser has none to send; leave one out")
    has_page = (not request.public and request.token_file is None) if request.page is None else request.page
    from toolkit.cli.actions.serve import serve_and_tell

    serve_and_tell(named, config, has_page=has_page)


def _read_name(text: str, store: ArtifactStore) -> tuple[str, Path]:
    """Return the name and the path of `FILE` or `NAME=FILE`."""
    name, _, rest = text.partition("=")
    if not name or not rest or Path(text).exists():
        name, rest = Path(text).stem, text
    if "/" in name or name in {".", ".."}:
        raise UsageError(
            f"{name!r} cannot name a model in an address; expected NAME=FILE, with a name without /, and not . or .."
        )
    return name, choose_model(Path(rest), store=store)


serve_command = offer_external_data()(command_of(ServeRequest, _carry_out))
