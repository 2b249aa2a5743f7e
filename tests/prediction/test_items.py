from __future__ import annotations

import io
import os
import pickle
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from idx_files import encode_idx
from item_sources import SEVEN_PNG, list_items, messages_of, npy_bytes, tar_member, write_tar, write_zip
from prediction_samples import SPEC

from toolkit.prediction.sources import listing
from toolkit.prediction.sources.items import ArrayItem, ImageItem
from toolkit.prediction.sources.listing import expand_glob, iterate_folder, list_folder
from toolkit.prediction.sources.open import MAX_PATH_BYTES, find_total, open_items, read_paths, tidy_path
from toolkit.regular_file import printable_member, printable_name

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the working directory, with pictures at several depths."""
    for name in ("b.png", "a.PNG", "m/c.jpeg", "m/deep/d.png", "m/.hidden/e.png", ".f.png", "z.webp", "notes.txt"):
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_bytes(SEVEN_PNG)
    monkeypatch.chdir(tmp_path / "t")
    return tmp_path / "t"


def sources(*inputs: Path | str, stdin: bytes | None = None) -> list[str]:
    stream = None if stdin is None else io.BytesIO(stdin)
    return [item.source for item in list_items(*inputs, stdin=stream)]


def test_folder_is_sorted_depth_first_and_says_what_it_left_out(tree: Path) -> None:
    notes: list[str] = []
    items = list_items(".", notes=notes)
    names = [item.source for item in items]
    assert names == [".f.png", "a.PNG", "b.png", "m/.hidden/e.png", "m/c.jpeg", "m/deep/d.png", "z.webp"]
    assert [item.content for item in items if isinstance(item, ImageItem)] == names
    assert notes == [".: left out 1 file of other names"]


def test_a_folder_of_a_format_that_is_not_read_is_one_error_with_the_step(tmp_path: Path) -> None:
    for name in ("IMG_1.HEIC", "IMG_2.HEIC", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (message,) = messages_of(list_items(tmp_path))
    assert message.startswith(f"{tmp_path} holds no image that is read, but 2 HEIC, 1 other file; convert HEIC to PNG")


def test_folder_is_called_as_it_was_given(tree: Path) -> None:
    for given in ("m", "./m", "m/", "m//", Path("m")):
        assert sources(given) == ["m/.hidden/e.png", "m/c.jpeg", "m/deep/d.png"]
    assert sources(tree / "m")[0] == str(tree / "m/.hidden/e.png")


@pytest.mark.parametrize("path", ["a", "./a", "a/", "a//b", "./a/./b", "/", "/a//b/", ".", "..", "../a", "a.b/c"])
def test_tidy_paths_are_those_of_pathlib(path: str) -> None:
    assert tidy_path(path) == str(Path(path))


def test_what_is_no_regular_file_is_reported_and_not_opened(tree: Path) -> None:
    os.mkfifo("1.png")
    Path("2.png").symlink_to("2.png")
    Path("3").symlink_to(tree)
    Path("4.png").symlink_to("nowhere")
    Path("5.png").symlink_to("b.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("6.png")
        items = {item.source: item for item in list_items(".")}
    assert items["5.png"].content == "5.png"
    said = {name: items[name].message for name in ("1.png", "2.png", "3", "4.png", "6.png")}
    assert "not a regular file" in said["1.png"]
    assert "symbolic link" in said["2.png"]
    assert "link to a folder" in said["3"]
    assert "No such file" in said["4.png"]
    assert "not a regular file" in said["6.png"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_given_by_name_is_judged_before_it_is_opened(
    tree: Path, make: object, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    make("x.png")
    for stdin in (None, b"x.png\n"):
        (message,) = messages_of(list_items(*(["x.png"] if stdin is None else ["-"]), stdin=io.BytesIO(stdin or b"")))
        assert "not a regular file" in message or "holds no image" in message


def test_unlistable_folder_is_one_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("m"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    assert messages_of(list_items(".")) == ["m cannot be listed: Permission denied"]
    assert messages_of(list_items("m")) == ["m cannot be listed: Permission denied"]
    assert messages_of(list_items("*/*.jpeg")) == ["m cannot be listed: Permission denied"]


def test_empty_and_missing_sources_are_one_error_each(tree: Path) -> None:
    Path("empty").mkdir()
    said = messages_of(list_items("empty", "missing.png", "missing/*.png", "b.png/x.png", "a\0b", "-"))
    assert len(said) == 6
    for words, message in zip(
        ("holds no image", "No such file", "matches no file", "Not a directory", "null byte", "standard input"),
        said,
        strict=True,
    ):
        assert words in message


def test_shadows_that_macos_leaves_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png"):
        (tmp_path / name).write_bytes(SEVEN_PNG)
    assert sources(tmp_path) == [str(tmp_path / "a.png")]


def test_deep_folders_do_not_end_the_walk(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d"] * 400)
    folder.mkdir(parents=True)
    (folder / "x.png").write_bytes(b"")
    assert [path for path, _ in list_folder(str(tmp_path))] == [str(folder / "x.png")]


def test_names_are_valid_text_whatever_they_are(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/bad\xff\n.png")
    Path(name).write_bytes(SEVEN_PNG)
    (item,) = list_items(tmp_path)
    assert isinstance(item, ImageItem)
    assert item.source.encode().endswith(b"bad\\udcff\n.png")
    assert item.content == name
    assert printable_name("ä\n.png") == "ä\n.png"
    assert printable_member("a.zip", "x\x1b[31m\n\0\x85\u2028ä\udcff.png") == (
        "a.zip!x\\x1b[31m\\n\\x00\\x85\\u2028ä\\udcff.png"
    )


def test_a_folder_is_listed_lazily_and_holds_names_only(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}.png").write_bytes(b"")
    stream = iterate_folder(str(tmp_path))
    assert next(stream).source.endswith("000.png")
    assert sum(1 for _ in stream) == 299


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png"]),
        ("*.[pP][nN][gG]", ["a.PNG", "b.png"]),
        ("?.png", ["b.png"]),
        (".*.png", [".f.png"]),
        ("**/*.png", ["b.png", "m/deep/d.png"]),
        ("m/**/*.png", ["m/deep/d.png"]),
        ("m/**", ["m"]),
        ("**", ["."]),
        ("*/*/*.png", ["m/deep/d.png"]),
        ("*/**/**/*.png", ["m/deep/d.png"]),
        ("[m]", ["m"]),
        ("m/.h*/*", ["m/.hidden/e.png"]),
        ("./*.webp", ["z.webp"]),
        ("m/../*.webp", ["m/../z.webp"]),
        ("x/*", []),
        ("b.png/*", []),
        ("[", []),
    ],
)
def test_patterns_match_as_a_shell_does(tree: Path, pattern: str, expected: list[str]) -> None:
    assert list(expand_glob(pattern)) == expected


def test_absolute_patterns_and_folders_that_match(tree: Path) -> None:
    assert sources(f"{tree}/*.webp") == [f"{tree}/z.webp"]
    assert sources("?") == ["m/.hidden/e.png", "m/c.jpeg", "m/deep/d.png"]


def test_links_in_circles_do_not_catch_a_pattern(tree: Path) -> None:
    Path("m/again").symlink_to(tree)
    assert list(expand_glob("**/*.png")) == ["b.png", "m/deep/d.png"]


def test_a_name_that_exists_wins_over_its_meaning_as_a_pattern(tree: Path) -> None:
    Path("[ab].png").write_bytes(SEVEN_PNG)
    assert sources("[ab].png") == ["[ab].png"]
    Path("[ab].png").unlink()
    assert sources("[ab].png") == ["b.png"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\n\nb", ["a", "b"]),
        (b"a\nb\0c\0", ["a\nb", "c"]),
        (b"a\r\0", ["a\r"]),
        (b"", []),
        (b"\n", []),
        (b"\xff\n", ["\udcff"]),
    ],
)
def test_lists_are_lines_or_end_in_nul(data: bytes, expected: list[str]) -> None:
    assert list(read_paths(io.BytesIO(data))) == expected


@pytest.mark.parametrize("size", [1, 3, 1 << 16])
def test_lists_are_cut_anywhere(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.prediction.sources.open.CHUNK_BYTES", size)
    assert list(read_paths(io.BytesIO(b"one\ntwo\nthree"))) == ["one", "two", "three"]


def test_a_list_names_every_kind_of_source(tree: Path) -> None:
    np.save("x.npy", np.zeros((3, 28, 28), np.uint8))
    listed = b"b.png\nm\n*.webp\nx.npy\nmissing\n-\n"
    items = list_items("-", "a.PNG", "-", stdin=io.BytesIO(listed))
    names = [item.source for item in items]
    assert names == [
        *["b.png", "m/.hidden/e.png", "m/c.jpeg", "m/deep/d.png", "z.webp", "x.npy", "missing", "-", "a.PNG", "-"]
    ]
    assert [item.num_rows for item in items][5] == 3
    assert "No such file" in messages_of(items)[0]
    assert "cannot hold -" in messages_of(items)[1]
    assert "can be read once" in messages_of(items)[2]


def test_a_list_is_read_as_it_comes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(SEVEN_PNG)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as out:
        items = open_items(["-"], stdin=stream)
        for _ in range(2):
            out.write(os.fsencode(tmp_path / "a.png") + b"\n")
            assert next(items).source == str(tmp_path / "a.png")
        out.close()
        assert list(items) == []


def test_what_is_no_list_does_not_fill_the_memory() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read1(self, count: int) -> bytes:
            self.given += count
            return b"x" * count

    stream = Endless()
    assert "no list of paths" in messages_of(list_items("-", stdin=stream))[0]  # type: ignore[arg-type]  # reads
    assert stream.given < 4 * MAX_PATH_BYTES


def test_files_are_judged_by_content_and_not_by_name(tree: Path) -> None:
    grey = np.zeros((2, 28, 28), np.uint8)
    Path("npy.png").write_bytes(npy_bytes(grey))
    Path("idx.png").write_bytes(encode_idx(grey))
    Path("gz.png").write_bytes(encode_idx(grey, compress=True))
    write_zip(Path("zip.png"), {"a.png": SEVEN_PNG})
    write_tar(Path("tar.png"), [tar_member("a.png", SEVEN_PNG)])
    Path("png.npz").write_bytes(SEVEN_PNG)
    items = list_items("npy.png", "idx.png", "gz.png", "zip.png", "tar.png", "png.npz")
    kinds = [(type(item), item.num_rows) for item in items]
    assert kinds == [(ArrayItem, 2)] * 3 + [(ImageItem, 1)] * 3
    assert [item.content for item in items[3:]] == [SEVEN_PNG, SEVEN_PNG, "png.npz"]  # type: ignore[union-attr]


def test_a_file_that_is_nothing_known_is_left_to_the_decoder(tree: Path) -> None:
    for number, data in enumerate([b"", b"x", b"II*\0" * 300, b"7" * 2000, b"\0\0\0\x0cjP  ", b"\0\0"]):
        Path(f"{number}.bin").write_bytes(data)
        (item,) = list_items(f"{number}.bin")
        assert item.content == f"{number}.bin"  # type: ignore[union-attr]


def test_mixed_sources_keep_their_order_and_give_the_same_twice(tree: Path) -> None:
    write_zip(Path("x.zip"), {"2.png": SEVEN_PNG, "1.png": SEVEN_PNG})
    np.save("x.npy", np.zeros((5000, 28, 28), np.uint8))
    given = ["x.zip", "b.png", "x.npy", "m", "**/*.webp", "x.zip"]
    first, second = list_items(*given), list_items(*given)
    assert [item.source for item in first] == [
        *["x.zip!2.png", "x.zip!1.png", "b.png", "x.npy", "x.npy"],
        *["m/.hidden/e.png", "m/c.jpeg", "m/deep/d.png", "z.webp", "x.zip!2.png", "x.zip!1.png"],
    ]
    assert [(item.source, item.num_rows) for item in first] == [(item.source, item.num_rows) for item in second]


def test_a_total_is_known_of_names_and_plain_arrays_and_is_what_comes_out(tree: Path) -> None:
    np.save("x.npy", np.zeros((5000, 28, 28), np.uint8))
    Path("x.idx").write_bytes(encode_idx(np.zeros((9, 28, 28), np.uint8)))
    Path("bad.npy").write_bytes(b"\x93NUMPY")
    for given in (["x.npy"], ["x.idx"], ["bad.npy"], ["b.png", "z.webp"], ["missing"], ["b.png", "x.npy"], []):
        assert find_total(given, SPEC) == sum(item.num_rows for item in list_items(*given)), given


def test_what_only_reading_would_tell_has_no_total(tree: Path) -> None:
    write_zip(Path("x.zip"), {"1.png": SEVEN_PNG})
    write_tar(Path("x.tar"), [tar_member("a.png", SEVEN_PNG)])
    Path("x.gz").write_bytes(encode_idx(np.zeros((9, 28, 28), np.uint8), compress=True))
    for given in ("x.zip", "x.tar", "x.gz", "*.png", "m", "-"):
        assert find_total(["b.png", given], SPEC) is None, given


def test_items_survive_the_way_to_another_process() -> None:
    item = ImageItem("a", 3, b"x", "said")
    assert pickle.loads(pickle.dumps(item)) == item


def test_one_image_imports_nothing_of_the_other_kinds(tree: Path) -> None:
    code = """
import sys
from toolkit.prediction.sources.open import open_items
list(open_items(["b.png", "m"]))
print([name for name in ("tarfile", "zipfile", "lzma", "pyarrow", "toolkit.data") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="there is no /proc")
def test_nothing_stays_open_when_the_items_are_not_read_to_the_end(tree: Path) -> None:
    write_zip(Path("x.zip"), {"2.png": SEVEN_PNG, "1.png": SEVEN_PNG})
    before = len(list(OPEN_FILES.iterdir()))
    stream = open_items(["x.zip"])
    next(stream)
    assert len(list(OPEN_FILES.iterdir())) == before + 1
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(list(OPEN_FILES.iterdir())) == before


def test_a_device_is_not_read() -> None:
    if not Path("/dev/zero").exists() or not stat.S_ISCHR(Path("/dev/zero").stat().st_mode):
        pytest.skip("there is no /dev/zero")
    assert "not a regular file" in messages_of(list_items("/dev/zero"))[0]
