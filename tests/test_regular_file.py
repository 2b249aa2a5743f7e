"""Files are judged by what was opened, never waited for, and read no further than their cap."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit import regular_file
from toolkit.durable import read_json
from toolkit.errors import DataError, ModelError, ToolkitError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.recording import load_recording
from toolkit.regular_file import open_regular, printable_name, read_regular
from toolkit.runs.run import read_run
from toolkit.training.recipe_catalog import read_recipe


def read(path: Path, *, most_bytes: int = 100) -> bytes:
    return read_regular(path, most_bytes=most_bytes)


def opened(path: Path) -> bytes:
    with open_regular(path, most_bytes=100) as stream:
        return stream.read()


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


both = pytest.mark.parametrize("way", [read, opened])


@both
def test_a_regular_file_and_a_link_to_one_are_read(way: Callable[[Path], bytes], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert way(tmp_path / "a") == way(tmp_path / "b") == b"abc"


@both
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link to a device"])
def test_what_is_no_regular_file_is_refused_at_once(kind: str, way: Callable[[Path], bytes], tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=f"{path} is not a regular file and was not opened"):
        way(path)


@both
def test_what_cannot_be_opened_is_named(way: Callable[[Path], bytes], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none: No such file"):
        way(tmp_path / "none")
    with pytest.raises(DataError, match=r"cannot read .*null"):
        way(tmp_path / "a\0b")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(DataError, match=r"cannot read .*/s"):
            way(tmp_path / "s")


@both
def test_a_file_over_its_cap_is_refused_unread(
    way: Callable[[Path], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    assert len(way(tmp_path / "a")) == 100
    os.truncate(tmp_path / "a", 1 << 40)  # a hole
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(DataError, match=f"a has {1 << 40} bytes; the most is 100"):
        way(tmp_path / "a")


def test_a_file_that_grows_is_read_to_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, original = tmp_path / "a", os.read
    path.write_bytes(b"abc")

    def growing(descriptor: int, count: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"more")
        return original(descriptor, count)

    monkeypatch.setattr(os, "read", growing)
    assert read(path, most_bytes=3) == b"abc"


def test_a_file_that_comes_in_pieces_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, original = tmp_path / "a", os.read
    path.write_bytes(b"abcde")
    monkeypatch.setattr(os, "read", lambda descriptor, count: original(descriptor, min(count, 2)))
    assert read(path) == b"abcde"


def test_a_file_that_shrinks_ends_where_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, original = tmp_path / "a", os.read
    path.write_bytes(b"abc")

    def shrinking(descriptor: int, count: int) -> bytes:
        os.truncate(path, 2)
        return original(descriptor, count)

    monkeypatch.setattr(os, "read", shrinking)
    assert read(path) == b"ab"


@both
def test_what_takes_the_name_after_the_opening_is_never_read(
    way: Callable[[Path], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, original = tmp_path / "a", os.open
    path.write_bytes(b"abc")

    def swapping(name: Path, flags: int) -> int:
        descriptor = original(name, flags)
        path.unlink()
        os.mkfifo(path)
        return descriptor

    monkeypatch.setattr(regular_file.os, "open", swapping)
    assert way(path) == b"abc"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open descriptors on this system")
@both
def test_no_descriptor_stays_open(way: Callable[[Path], bytes], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(bytes(101))
    before = open_descriptors()
    for name in ("fifo", "large"):
        with pytest.raises(DataError):
            way(tmp_path / name)
    assert open_descriptors() == before


def test_a_name_that_is_no_unicode_can_be_told() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    assert printable_name(name) == "caf\\udce9.png"
    with pytest.raises(ModelError, match=r"^cannot read caf\\udce9.png: No such file"):
        read_regular(name, most_bytes=1, raises=ModelError)


@pytest.mark.parametrize(
    ("reader", "name", "error"),
    [
        (read_json, "a.json", DataError),
        (lambda path: read_run(path.parent), "config.json", ModelError),
        (load_recording, "a.replay", DataError),
        (ModelSource.read, "a.onnx", ModelError),
        (read_recipe, "a.toml", UsageError),
    ],
)
def test_a_reader_is_not_kept_waiting_by_a_fifo(
    reader: Callable[[Path], object], name: str, error: type[ToolkitError], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(error, match="is not a regular file"):
        reader(tmp_path / name)
