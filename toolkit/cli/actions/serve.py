"""`toolkit serve` between library and screen: what it says, and the page that it shows."""

from __future__ import annotations

__all__ = ["serve_and_tell"]

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from toolkit.cli.output import note
from toolkit.programs import import_extra

if TYPE_CHECKING:
    from toolkit.serving.config import ServeConfig
    from toolkit.serving.http.application import Page
    from toolkit.serving.served_model import ServedModel


def serve_and_tell(named: list[tuple[str, Path]], config: ServeConfig, *, has_page: bool) -> None:
    """Serve models until a signal ends it, and say where.

    Args:
        named: names and files.
        config: how.
        has_page: show a page to try the first model at `/`.

    Raises:
        ToolkitError: as `serve`.
    """
    started = time.monotonic()
    import_extra("uvicorn", extra="serve", user="toolkit serve")
    if config.grpc_port is not None:
        import_extra("grpc_health", extra="serve-grpc", user="--grpc-port")
        import_extra("grpc_reflection", extra="serve-grpc", user="--grpc-port")
    from toolkit.serving.serve import ServedFile, serve

    def tell_ready(address: str, models: list[ServedModel]) -> None:
        for line in (line for model in models for line in model.engine.opened.notes):
            note(line)
        if config.public and config.token_file is None and config.tls_client_authority is None:
            note("warning: whoever reaches this address may use it; --token-file and --tls-client-ca keep others out")
        names = ", ".join(f"{model.name} (version {model.version})" for model in models)
        took_s = time.monotonic() - started
        note(f"{address} serves {names} on {models[0].provider}, ready after {took_s:.1f} s; Ctrl-C ends it")
        _notify_ready()

    serve(
        [ServedFile(*item) for item in named],
        config,
        tell=note,
        on_ready=tell_ready,
        make_page=_make_page if has_page else None,
    )


def _notify_ready() -> None:
    """Tell systemd that requests are taken, where it started this process and waits for that (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
            notifying.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def _make_page(model: ServedModel) -> Page:
    """Return the page of a model; made when somebody comes to see it."""
    from toolkit.exporting.kits.browser import make_served_page

    if model.card is None:
        return {}
    address = f"v2/models/{quote(model.name, safe='')}/versions/{model.version}"
    return make_served_page(model.card, name=model.name, address=address, provider=model.provider)
