"""The web kit in a browser: served as anybody would serve it, looked at headless, or its page before another server."""

from __future__ import annotations

__all__ = ["KitServer", "check_in_browser", "find_browser", "make_served_page"]

import functools
import html
import json
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import toolkit
from toolkit.card import Card
from toolkit.errors import ResourceError
from toolkit.exporters import kits as templates
from toolkit.exporting.kits.doubts import golden_doubts
from toolkit.exporting.kits.values import KitSource, kit_values
from toolkit.programs import import_extra

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY_TIMEOUT_MS = 60_000
MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
SERVED = "Its server runs it: the pixels that the model is given are sent there, and nowhere else."
# Headers with which a page may use several threads.
ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class _Handler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    # What the system's own tables say differs: a module with another type is refused by browsers.
    extensions_map = {  # noqa: RUF012 - the base class has it so
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *given: Any, headers_too: dict[str, str], **named: Any) -> None:
        self._headers_too = headers_too
        super().__init__(*given, **named)

    def end_headers(self) -> None:
        for name, value in self._headers_too.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the command's own lines are enough."""


class KitServer:
    """Serves a folder on this machine's own address until it is left.

    Args:
        folder: what to serve.
        port: 0 takes a free one.
        is_isolated: send the headers with which a page may use several threads.
    """

    def __init__(self, folder: Path, *, port: int = 0, is_isolated: bool = False) -> None:
        handler = functools.partial(_Handler, directory=str(folder), headers_too=ISOLATION if is_isolated else {})
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise ResourceError(f"cannot serve on port {port}: {error.strerror or error}; give another one") from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self) -> None:
        """Serve until somebody interrupts."""
        self._thread.join()


def find_browser() -> str:
    """Return the path of a Chromium.

    Raises:
        ResourceError: there is none.
    """
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise ResourceError("there is no Chromium on the PATH; get it with: apt-get install chromium")
    return found


def check_in_browser(folder: Path) -> dict[str, Any]:
    """Open a web kit, wait for its badge, and return what its self-check said.

    Raises:
        ResourceError: playwright is not installed, or there is no browser.
    """
    playwright = import_extra("playwright.sync_api", extra="kits", user="it")
    browser_path = find_browser()
    try:
        with KitServer(folder) as server, playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(server.url)
            page.wait_for_selector("html[data-ready]", timeout=READY_TIMEOUT_MS)
            result: dict[str, Any] = page.evaluate("() => kit.selfCheck")
            version = page.evaluate("() => kit.version")
            browser.close()
    except playwright.Error as error:
        raise ResourceError(f"the browser failed: {error.message.splitlines()[0]}") from error
    return {**result, "version": version}


def make_served_page(card: Card, *, name: str, address: str, provider: str) -> dict[str, tuple[bytes, str]]:
    """Return the files of a page by their names, each with its media type.

    Args:
        card: the model's card.
        name: what the page calls the model.
        address: the model's, from the page's own: `v2/models/digits`.
        provider: what runs it there.
    """
    values = kit_values(KitSource(path=Path(f"{name}.onnx"), model=b"", card=card))
    values |= {
        "html_name": html.escape(name),
        "html_where": SERVED,
        "toolkit_version": toolkit.__version__,
        "model_address": address,
        "provider": provider,
    }
    files = {**templates.render_kit("web", values), **templates.render_kit("served", values)}
    kinds = {path: MEDIA_TYPES[path.suffix] for path in files if path.suffix in MEDIA_TYPES}
    return {
        **{path.name: (files[path].encode(), kind) for path, kind in kinds.items()},
        "model.card.json": (card.dumps().encode(), "application/json"),
        "golden_doubts.json": (json.dumps(golden_doubts(card)).encode(), "application/json"),
    }
