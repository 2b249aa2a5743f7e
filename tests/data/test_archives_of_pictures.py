"""ZIP and tar archives of class folders: the folders' own rules, and everything that can be wrong with an archive."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layouts import Writer, encode, make_pictures

from toolkit.data import load_dataset
from toolkit.errors import DataError

FILES = Writer(make_pictures(60, classes=3), seed=0).files()
BLACK = encode(np.zeros((16, 16), np.uint8))


def write_zip(path: Path, files: list[tuple[str, bytes]]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # names that stand twice
        for name, content in files:
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: list[tuple[str, bytes]], *, links: tuple[str, ...] = ()) -> Path:
    with tarfile.open(path, {".tar": "w", ".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("plain")
    for name, content in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return load_dataset(str(folder)).sha256


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("around", ["", "./", "data/", "data/digits/"])
def test_an_archive_is_its_folders(tmp_path: Path, expected: str, ending: str, around: str) -> None:
    write = write_zip if ending == "zip" else write_tar
    path = write(tmp_path / f"own.{ending}", [(around + name, content) for name, content in FILES[::-1]])
    dataset = load_dataset(str(path))
    assert (dataset.name, dataset.sha256) == ("own", expected)
    assert list(tmp_path.iterdir()) == [path]


def test_what_macs_and_windows_put_in_is_seen_through(tmp_path: Path, expected: str) -> None:
    more = [("__MACOSX/train/0/._x.png", b"x"), ("train\\0\\.DS_Store", b"x")]
    path = write_zip(tmp_path / "own.zip", [(name.replace("/", "\\"), content) for name, content in FILES] + more)
    assert load_dataset(str(path)).sha256 == expected


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_that_repeat_mean_the_last_one_and_names_that_lead_out_mean_nothing(
    tmp_path: Path, expected: str, write: Callable[..., Path]
) -> None:
    notes: list[str] = []
    files = [(FILES[0][0], b"damaged"), ("../train/0/x.png", b"damaged"), *FILES]
    path = write(tmp_path / ("own.zip" if write is write_zip else "own.tar"), files)
    assert load_dataset(str(path), on_note=notes.append).sha256 == expected
    assert [note.partition(": ")[2] for note in notes] == [
        "names that repeat: 1; the last of each counts, as when unpacked",
        "names that lead out of it are left out: 1",
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_called_like_a_picture_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "own.tar", FILES, links=("train/0/link.png",))
    with pytest.raises(DataError, match=r"own.tar!train/0/link.png is a link in the archive; expected an image"):
        load_dataset(str(path))


@pytest.mark.parametrize(("part", "match"), [(0.5, "damaged|cut off"), (0.99, "damaged|cut off")])
@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_that_is_cut_off_is_named(tmp_path: Path, ending: str, part: float, match: str) -> None:
    path = (write_zip if ending == "zip" else write_tar)(tmp_path / f"own.{ending}", FILES)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * (part if ending != "tar" else part / 1.2))])
    with pytest.raises(DataError, match=rf"own\.{ending}.*({match})"):
        load_dataset(str(path))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "own.zip", FILES)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"own.zip!train/\d/.*png is damaged|own.zip!test/\d/.*png is damaged"):
        load_dataset(str(path))


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_unusable_members_are_told_together(tmp_path: Path, ending: str) -> None:
    bad = [("train/0/empty.jpg", b""), ("train/0/text.jpg", b"hello")]
    path = (write_zip if ending == "zip" else write_tar)(tmp_path / f"own.{ending}", [*bad, *FILES])
    with pytest.raises(DataError, match=r"^2 pictures cannot be used: .*empty\.jpg is empty.*; .*text\.jpg"):
        load_dataset(str(path))


def test_links_are_told_together(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "own.tar", FILES, links=("train/0/a.png", "train/0/b.png"))
    with pytest.raises(DataError, match=r"^2 pictures cannot be used: \S*a\.png is a link in the archive; \S*b\.png"):
        load_dataset(str(path))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, _ in FILES:
            archive.writestr(name, bytes(200 << 20)[: (200 << 20) if name == FILES[0][0] else 1])
    with pytest.raises(DataError, match=r"own.zip!.* has 209715200 bytes; the most is 134217728|not an image|damaged"):
        load_dataset(str(tmp_path / "own.zip"))


def test_idx_files_in_an_archive_are_read_too(tmp_path: Path) -> None:
    folder = Writer(make_pictures(60, classes=3), seed=5).idx(tmp_path / "idx")
    files = [(f"MNIST/raw/{path.name}", path.read_bytes()) for path in folder.iterdir()]
    dataset = load_dataset(str(write_zip(tmp_path / "own.zip", files)))
    assert dataset.sha256 == load_dataset(str(folder)).sha256


@pytest.mark.parametrize("name", ["train/0/\x1b[31m.png", "train/0/a\nb.png"])
def test_control_characters_of_a_name_are_told_not_sent(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(str(write_zip(tmp_path / "own.zip", [*FILES, (name, b"no picture")])))
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_is_gone_through_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    from toolkit.data.formats import archives

    path = write_tar(tmp_path / f"own.{ending}", [*FILES, ("notes.txt", b"x"), ("._a.png", b"x")])
    readings: list[str] = []
    real = archives.TarReader

    def count(*arguments: object, **options: object) -> archives.TarReader:
        readings.append("once more")
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "TarReader", count)
    load_dataset(str(path))
    assert len(readings) == 2


def test_more_files_than_can_be_held_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.data.formats import archives

    monkeypatch.setattr(archives, "MAX_MEMBERS", 59)
    with pytest.raises(DataError, match="holds more than 59 files"):
        load_dataset(str(write_zip(tmp_path / "own.zip", FILES)))
