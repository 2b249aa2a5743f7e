"""An https mirror: capped, never http; a file that is kept unpacked is unpacked while it arrives."""

from __future__ import annotations

__all__ = ["HttpsSource"]

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from toolkit.data.catalog.source import SourceError
from toolkit.data.formats.unpacked import UnpackBudget, join_pieces, open_unpacked
from toolkit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from toolkit.data.catalog.entries import CatalogFile
    from toolkit.progress import ShowProgress

CHUNK_BYTES = 1 << 16
MAX_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSource:
    """Files in a folder of an https server, each under its `packed_name`.

    Attributes:
        base_url: the folder, with a slash at its end.
        connect_timeout_s: the longest wait for a connection.
        read_timeout_s: the longest silence.
        total_timeout_s: the longest time for one file, against a server that drips.
    """

    base_url: str
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    total_timeout_s: float = 600.0

    @property
    def label(self) -> str:
        """The server's name and folder."""
        parts = urlsplit(self.base_url)
        return f"{parts.netloc}{parts.path}"

    def fetch(self, files: tuple[CatalogFile, ...], *, progress: ShowProgress) -> Iterator[tuple[CatalogFile, bytes]]:
        """Yield each file as it is kept, packed or not.

        Raises:
            SourceError: no connection, a status other than 200, http in place of https, silence, or more than expected.
        """
        import requests
        import urllib3

        for file in files:
            try:
                data = self._download(file, progress)
            except (requests.RequestException, urllib3.exceptions.HTTPError, DataError, SourceError) as error:
                raise SourceError(f"{file.name}: {_reason(error)}") from error
            yield file, data

    def _download(self, file: CatalogFile, progress: ShowProgress) -> bytes:
        deadline = time.monotonic() + self.total_timeout_s
        content = bytearray()
        with self._open(f"{self.base_url}{file.packed_name}") as response:
            budget = UnpackBudget("what came", most_bytes=file.size_bytes)
            if file.unpacked_bytes is None:
                kept = open_unpacked(join_pieces(self._chunks(response, deadline)), name="what came", budget=budget)
            else:
                kept = join_pieces(self._chunks(response, deadline), budget=budget)
            while (piece := kept.read1(CHUNK_BYTES)) and len(content) <= file.size_bytes:
                content += piece
                progress(len(content), file.size_bytes)
        return bytes(content)

    @contextmanager
    def _open(self, url: str) -> Iterator[requests.Response]:
        import requests

        with requests.Session() as session:
            for _ in range(MAX_REDIRECTS + 1):
                _refuse_plain(url)
                # Redirects are followed by hand: requests would follow one to http, and read its body without a limit.
                response = session.get(
                    url,
                    stream=True,
                    allow_redirects=False,
                    timeout=(self.connect_timeout_s, self.read_timeout_s),
                    headers={"Accept-Encoding": "identity"},
                )
                with response:
                    if response.status_code not in REDIRECTS:
                        _check_status(response)
                        yield response
                        return
                    url = urljoin(url, response.headers.get("Location", ""))
        raise SourceError(f"more than {MAX_REDIRECTS} redirects")

    def _chunks(self, response: requests.Response, deadline: float) -> Iterator[bytes]:
        # read1 returns what has come: waiting for a full block would let a dripping server outlast the deadline.
        while chunk := response.raw.read1(CHUNK_BYTES):
            if time.monotonic() > deadline:
                raise SourceError(f"not complete after {self.total_timeout_s:g} s")
            yield chunk


def _refuse_plain(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise SourceError(f"refused {url}: only https is used")


def _check_status(response: requests.Response) -> None:
    if response.status_code != 200:
        raise SourceError(f"status {response.status_code} {response.reason}".rstrip())
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        raise SourceError("an HTML page instead of data")


def _reason(error: Exception) -> str:
    """Return a short reason; the text of requests' own errors repeats itself for three lines."""
    import requests
    import urllib3

    # A body is read from urllib3 itself, so its own errors come beside requests'.
    reasons: dict[type[Exception], str] = {
        urllib3.exceptions.ReadTimeoutError: "it fell silent",
        urllib3.exceptions.ProtocolError: "the connection broke off",
        requests.exceptions.ReadTimeout: "it fell silent",
        requests.exceptions.ConnectTimeout: "no connection in time",
        requests.exceptions.SSLError: "its certificate is not trusted",
        requests.exceptions.ProxyError: "the proxy refused",
        requests.exceptions.ChunkedEncodingError: "the connection broke off",
        requests.exceptions.ConnectionError: "no connection",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), str(error))
