"""A toy data set of four files behind a real TLS server, for the tests of fetching."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import trustme
from idx_files import encode_idx

from toolkit.data.catalog.entries import MNIST, CatalogEntry, CatalogFile
from toolkit.data.catalog.sources import HttpsSource

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler], None]

CONTENT = {
    MNIST.files[0].name: encode_idx(np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)),
    MNIST.files[1].name: encode_idx(np.array([0, 9, 1], dtype=np.uint8)),
    MNIST.files[2].name: encode_idx(np.zeros((2, 4, 5), dtype=np.uint8)),
    MNIST.files[3].name: encode_idx(np.array([3, 4], dtype=np.uint8)),
}
FIRST = MNIST.files[0].name
LAST = MNIST.files[3].name


def describe(name: str, content: Mapping[str, bytes] = CONTENT) -> CatalogFile:
    data = content[name]
    return CatalogFile(name=name, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def make_entry(content: Mapping[str, bytes] = CONTENT) -> CatalogEntry:
    first, second, third, fourth = (describe(file.name, content) for file in MNIST.files)
    return replace(MNIST, files=(first, second, third, fourth), mirrors=(), npm_package=None)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@dataclass
class Server:
    """Paths to answers, over TLS or not; every request is noted."""

    base: str
    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def source(self, folder: str = "good/", **timeouts: float) -> HttpsSource:
        return HttpsSource(base_url=f"{self.base}/{folder}", **timeouts)


def serve(context: ssl.SSLContext | None) -> Iterator[Server]:
    class Requests(Handler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            name = self.path.rpartition("/")[2].removesuffix(".gz")
            served.answers.get(self.path.split("/")[1], send_file)(self) if name in CONTENT else self.send_error(404)

        def log_message(self, *arguments: object) -> None: ...

    class Threads(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *arguments: object) -> None:
            """Clients that turn away are part of these tests."""

    httpd = Threads(("127.0.0.1", 0), Requests)
    if context is not None:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if context is None else "https"
    served = Server(base=f"{scheme}://localhost:{httpd.server_port}", port=httpd.server_port)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def serve_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve over TLS with a certificate that requests trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    authority().cert_pem.write_to_path(folder / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))
    monkeypatch.setenv("NO_PROXY", "localhost")
    yield from serve(context)


def content_of(request: Handler) -> bytes:
    return CONTENT[request.path.rpartition("/")[2].removesuffix(".gz")]


def send(request: Handler, body: bytes, *, length: int | None = None, **headers: str) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def send_file(request: Handler) -> None:
    send(request, gzip.compress(content_of(request), mtime=0))
