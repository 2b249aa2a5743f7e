"""Files of which the packed form's hash is known: fetched, kept and checked packed, unpacked at every use."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tls_server import CONTENT, Answer, Handler, Server, make_entry, names_in, send, serve_trusted

from toolkit.data import load as load_module
from toolkit.data import load_dataset
from toolkit.data.catalog import fetch as fetch_module
from toolkit.data.catalog.entries import CATALOG, MNIST, CatalogEntry, CatalogFile
from toolkit.data.catalog.fetch import default_sources, entry_folder, fetch, read_cached
from toolkit.data.catalog.sources import HttpsSource
from toolkit.data.dataset import Split
from toolkit.data.describe import fetch_by_name
from toolkit.data.formats.idx import read_idx
from toolkit.data.formats.idx_sets import load_idx_folder
from toolkit.data.load import is_public
from toolkit.errors import DownloadError

PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in CONTENT.items()}
FIRST = next(iter(PACKED))
PACKED_ENTRIES = [entry for entry in CATALOG.values() if entry.content_sha256 is None]


def describe(name: str) -> CatalogFile:
    data = PACKED[name]
    unpacked_bytes = len(CONTENT[name.removesuffix(".gz")])
    sha256 = hashlib.sha256(data).hexdigest()
    return CatalogFile(name=name, size_bytes=len(data), sha256=sha256, unpacked_bytes=unpacked_bytes)


def make_packed() -> CatalogEntry:
    first, second, third, fourth = map(describe, PACKED)
    return replace(make_entry(), name="packed", files=(first, second, third, fourth), content_sha256=None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(load_module, "CATALOG", {"packed": make_packed()})
    return tmp_path / "cache" / "packed"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    yield from serve_trusted(tmp_path, monkeypatch)


def packed_of(request: Handler) -> bytes:
    return PACKED[request.path.rpartition("/")[2]]


def send_changed(request: Handler) -> None:
    """One byte differs, in the header's time: what it unpacks to is the same."""
    body = bytearray(packed_of(request))
    body[4] ^= 1
    assert gzip.decompress(body) == gzip.decompress(packed_of(request))
    send(request, bytes(body))


def send_longer(request: Handler) -> None:
    send(request, packed_of(request) + bytes(1 << 20))


def send_unpacked(request: Handler) -> None:
    send(request, gzip.decompress(packed_of(request)))


def test_cache_keeps_the_packed_files_and_reading_unpacks_them(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    entry = make_packed()
    folder = fetch(entry, progress=lambda done, total: seen.append((done, total)), sources=[server.source()])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PACKED
    assert server.requests == [f"/good/{name}" for name in PACKED]
    assert [read_cached(cache / file.name, file) for file in entry.files] == list(CONTENT.values())
    total = sum(map(len, PACKED.values()))
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)


def test_report_of_a_fetch_names_what_is_in_the_folder(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "packed", make_packed())
    fetch(make_packed(), sources=[server.source()])
    files = {file["name"]: file for file in fetch_by_name("packed")["files"]}
    assert list(files) == list(PACKED)
    assert files[FIRST]["sha256"] == hashlib.sha256(PACKED[FIRST]).hexdigest()
    assert files[FIRST]["size_bytes"] == len(PACKED[FIRST])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (send_changed, "wrong content, "),
        (send_longer, f"holds more than {len(PACKED[FIRST])} bytes"),
        (send_unpacked, "wrong content, "),
    ],
)
def test_mirror_with_another_packed_file_gives_way_to_the_next(
    server: Server, cache: Path, answer: Answer, reason: str
) -> None:
    server.answers["bad"] = answer
    bad = server.source("bad/")
    with pytest.raises(DownloadError) as caught:
        fetch(make_packed(), sources=[bad])
    assert f"localhost:{server.port}/bad/: {FIRST}: " in str(caught.value)
    assert reason in str(caught.value)
    assert names_in(cache) == []
    assert names_in(fetch(make_packed(), sources=[bad, server.source()])) == sorted(PACKED)


def test_source_that_breaks_its_word_is_checked_before_anything_is_unpacked(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Liar:
        label = "liar"

        def fetch(self, files: tuple[CatalogFile, ...], *, progress: object) -> Iterator[tuple[CatalogFile, bytes]]:
            yield files[0], PACKED[FIRST][:-1] + b"!"

    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("unpacked before the hash held")

    monkeypatch.setattr(fetch_module, "open_unpacked", refuse)
    with pytest.raises(DownloadError, match=f"liar: {FIRST}: wrong content, "):
        fetch(make_packed(), sources=[Liar()])
    assert names_in(cache) == []


@pytest.mark.parametrize(
    ("difference", "reason"), [(1, "bytes when unpacked, expected"), (-1, "or an archive bomb: it holds more than")]
)
def test_right_hash_with_another_unpacked_size_is_refused(
    server: Server, cache: Path, difference: int, reason: str
) -> None:
    entry = make_packed()
    files = tuple(replace(file, unpacked_bytes=(file.unpacked_bytes or 0) + difference) for file in entry.files)
    wrong = replace(entry, files=files)
    with pytest.raises(DownloadError, match=reason):
        fetch(wrong, sources=[server.source()])
    assert names_in(cache) == []
    fetch(entry, sources=[server.source()])
    with pytest.raises(DownloadError, match=reason):
        fetch(wrong, sources=[])


def test_loading_by_name_gives_the_catalogues_own_images(server: Server) -> None:
    fetch(make_packed(), sources=[server.source()])
    dataset = load_dataset("packed")
    assert dataset.train.images.shape == (3, 4, 5)
    assert dataset.train.labels.tolist() == [0, 9, 1]
    assert is_public(dataset)


def test_other_images_in_a_loaded_set_are_not_public(server: Server) -> None:
    fetch(make_packed(), sources=[server.source()])
    dataset = load_dataset("packed")
    own = Split(images=dataset.train.images ^ 1, labels=dataset.train.labels)
    assert not is_public(replace(dataset, train=own))


def test_folder_of_the_same_files_is_a_users_own(server: Server) -> None:
    folder = fetch(make_packed(), sources=[server.source()])
    dataset = load_dataset(str(folder))
    assert load_idx_folder(folder).sha256 == load_dataset("packed").sha256
    assert dataset.licence == "unknown"
    assert not is_public(dataset)


def pack_again(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data), compresslevel=1, mtime=1)


def pack_other_images(data: bytes) -> bytes:
    content = bytearray(gzip.decompress(data))
    content[-1] ^= 1
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    "damage", [pack_again, pack_other_images, gzip.decompress, lambda data: data[:-1], lambda data: data[:-1] + b"!"]
)
def test_cached_file_edited_after_download_is_named_on_use(
    server: Server, cache: Path, damage: Callable[[bytes], bytes]
) -> None:
    fetch(make_packed(), sources=[server.source()])
    victim = cache / FIRST
    victim.write_bytes(damage(victim.read_bytes()))
    with pytest.raises(DownloadError, match=f"{victim} has changed: .*; delete it to fetch it again") as caught:
        load_dataset("packed")
    assert caught.value.exit_code == 6
    with pytest.raises(DownloadError, match="has changed"):
        fetch(make_packed(), sources=[server.source()])
    victim.unlink()
    fetch(make_packed(), sources=[server.source()])


def test_files_put_into_the_cache_by_hand_need_no_network(cache: Path) -> None:
    cache.mkdir(parents=True)
    for name, data in PACKED.items():
        (cache / name).write_bytes(data)
    assert is_public(load_dataset("packed"))


def test_all_sources_failing_names_each_and_the_folder_for_the_files(server: Server, cache: Path) -> None:
    server.answers["bad"] = send_changed
    entry = replace(make_packed(), mirrors=("https://localhost:1/down/", f"{server.base}/bad/"))
    with pytest.raises(DownloadError) as caught:
        fetch(entry)
    message = str(caught.value)
    assert f"localhost:1/down/: {FIRST}: no connection; " in message
    assert f"localhost:{server.port}/bad/: {FIRST}: wrong content" in message
    assert message.endswith(f"use --data mnist-mini, or put {', '.join(PACKED)} into {cache}")
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("entry", PACKED_ENTRIES, ids=lambda entry: entry.name)
def test_packed_entry_is_complete_and_speaks_https_only(entry: CatalogEntry) -> None:
    assert [source.label for source in default_sources(entry)]
    assert all(url.startswith("https://") and url.endswith("/") for url in entry.mirrors)
    assert [file.name for file in entry.files] == [f"{file.name}.gz" for file in MNIST.files]
    assert [file.packed_name for file in entry.files] == [file.packed_name for file in MNIST.files]
    # The same counts and sizes as MNIST, so the same unpacked sizes.
    assert [file.unpacked_bytes for file in entry.files] == [file.size_bytes for file in MNIST.files]
    assert len({file.sha256 for file in entry.files}) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in entry.files)
    assert len(set(entry.classes)) == 10
    assert (entry.polarity, entry.fit) == ("light-on-dark", "stretch")


@pytest.mark.network
@pytest.mark.parametrize(
    ("entry", "source"),
    [(entry, source) for entry in PACKED_ENTRIES for source in default_sources(entry)],
    ids=lambda part: getattr(part, "name", None) or part.label,
)
def test_real_source_gives_the_real_files(entry: CatalogEntry, source: HttpsSource) -> None:
    fetch(entry, sources=[source])
    arrays = [read_idx(read_cached(entry_folder(entry) / file.name, file)) for file in entry.files]
    assert [len(array) for array in arrays] == [60_000, 60_000, 10_000, 10_000]
