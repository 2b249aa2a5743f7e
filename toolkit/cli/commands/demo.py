"""`toolkit demo`."""

from __future__ import annotations

__all__ = ["demo_command"]

import contextlib
import webbrowser
from typing import Annotated

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import resolve_model
from toolkit.cli.options import ModelPath, option
from toolkit.cli.output import note

Port = Annotated[int, option("Where to serve; 0 takes a free port.", min=0, max=65535)]
NoBrowser = Annotated[bool, option("Serve only; open nothing.", "--no-browser")]


def demo_command(model: ModelPath = None, port: Port = 0, *, no_browser: NoBrowser = False) -> None:
    """Serve a model's web kit on this machine and open it. It is written anew; Ctrl-C ends it."""
    from toolkit.exporting.kits.browser import KitServer
    from toolkit.exporting.kits.kits import KitConfig, put_kit, read_kit_source

    store = ArtifactStore.default()
    source = read_kit_source(resolve_model(model, store=store))
    folder = put_kit("web", source, config=KitConfig(kits=("web",), force=True), store=store)
    with KitServer(folder, port=port, is_isolated=True) as server:
        note(f"{server.url} serves {folder}; Ctrl-C ends it")  # the address first, so that no terminal breaks it
        if not no_browser:
            webbrowser.open(server.url)
        with contextlib.suppress(KeyboardInterrupt):  # which is how it ends
            server.wait()
