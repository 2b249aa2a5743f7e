from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from item_sources import SEVEN_PNG, list_items, messages_of, npy_bytes, tar_member, write_tar, write_zip

from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.prediction.sources.items import ArrayItem, ImageItem, Item

PACKINGS = ["", "gz", "bz2", "xz"]
GREY = np.arange(2 * 28 * 28, dtype=np.uint32).reshape(2, 28, 28).astype(np.uint8)


def contents(items: list[Item]) -> dict[str, object]:
    return {item.source: item.content for item in items if isinstance(item, ImageItem)}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_gives_its_images_in_its_own_order(tmp_path: Path, method: int) -> None:
    members = {"b/2.png": SEVEN_PNG, "a.JPG": b"x" * 300_000, "b/": b"", "empty.png": b"", "z.txt": b"x"}
    path = write_zip(tmp_path / "x.zip", members, method=method)
    notes: list[str] = []
    items = list_items(path, notes=notes)
    assert list(contents(items)) == [f"{path}!b/2.png", f"{path}!a.JPG", f"{path}!empty.png"]
    assert list(contents(items).values()) == [SEVEN_PNG, b"x" * 300_000, b""]
    assert notes == [f"{path}: left out 1 file of other names"]


@pytest.mark.parametrize("packed", PACKINGS)
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_gives_its_images_in_its_own_order(tmp_path: Path, packed: str, kind: int) -> None:
    long = "/".join(["long" * 12] * 3) + ".png"
    members = [
        tar_member("b/2.png", SEVEN_PNG),
        tar_member("b", type=tarfile.DIRTYPE),
        tar_member("a.JPG", b"x" * 300_000),
        tar_member(long, SEVEN_PNG, mtime=0.5 if kind == tarfile.PAX_FORMAT else 0),
        tar_member("z.txt", b"y" * 1000),
        tar_member("c.png", SEVEN_PNG),
    ]
    path = write_tar(tmp_path / "x.tar", members, packed=packed, kind=kind)
    notes: list[str] = []
    items = list_items(path, notes=notes)
    expected = {f"{path}!b/2.png": SEVEN_PNG, f"{path}!a.JPG": b"x" * 300_000}
    assert contents(items) == {**expected, f"{path}!{long}": SEVEN_PNG, f"{path}!c.png": SEVEN_PNG}
    assert notes == [f"{path}: left out 1 file of other names"]


@pytest.mark.skipif(not Path("/bin/tar").exists(), reason="there is no tar")
def test_what_tar_itself_writes_is_read(tmp_path: Path) -> None:
    for name in ("a.png", "n" * 180 + ".png", "ü.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(SEVEN_PNG)
    for options in (["--format=gnu"], ["--format=posix"], ["--format=v7", "--exclude=n*"], ["-z"]):
        command = ["/bin/tar", *options, "-C", str(tmp_path), "-cf", str(tmp_path / "x"), "in"]
        subprocess.run(command, check=True)
        items = list_items(tmp_path / "x")
        assert messages_of(items) == []
        assert len(items) == (2 if "--format=v7" in options else 3)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_arrays_inside_are_read_and_labels_left_out_with_a_note(tmp_path: Path, kind: str) -> None:
    members = {"x.npy": npy_bytes(GREY), "y.npy": npy_bytes(np.arange(5)), "c.npy": npy_bytes(np.zeros((5, 1), int))}
    path = tmp_path / "x"
    if kind == "zip":
        write_zip(path, members)
    else:
        write_tar(path, [tar_member(name, data) for name, data in members.items()])
    notes: list[str] = []
    (item,) = list_items(path, notes=notes)
    assert isinstance(item, ArrayItem)
    assert item.source == f"{path}!x.npy"
    assert np.array_equal(item.images, GREY)
    assert notes == [f"{path}: left out 2 arrays that are no images: {path}!y.npy, {path}!c.npy"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_are_only_names_and_nothing_is_written(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["../out.png", "/abs.png", "a/../../b.png", "C:\\c.png", "n\n\x1b[31m.png"]
    if kind == "zip":
        write_zip(Path("x"), dict.fromkeys(names, SEVEN_PNG))
    else:
        write_tar(Path("x"), [tar_member(name, SEVEN_PNG) for name in names])
    items = list_items("x")
    assert [item.source.isprintable() for item in items] == [True] * 5
    assert [item.source for item in items][:3] == ["x!../out.png", "x!/abs.png", "x!a/../../b.png"]
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
    assert not (tmp_path.parent / "out.png").exists()


def test_links_and_devices_of_a_tar_are_errors_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(SEVEN_PNG)
    members = [
        tar_member("sym.png", type=tarfile.SYMTYPE, linkname=str(tmp_path / "secret.png")),
        tar_member("hard.png", type=tarfile.LNKTYPE, linkname="a.png"),
        tar_member("fifo.png", type=tarfile.FIFOTYPE),
        tar_member("device.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        tar_member("link.npy", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        tar_member("a.png", SEVEN_PNG),
    ]
    path = write_tar(tmp_path / "x.tar", members)
    items = list_items(path)
    assert [item.source.rpartition("!")[2] for item in items if item.content is None] == [  # type: ignore[union-attr]
        *["sym.png", "hard.png", "fifo.png", "device.png"]
    ]
    assert "a link in the archive, which is not followed" in messages_of(items)[0]
    assert contents(items)[f"{path}!a.png"] == SEVEN_PNG


def test_a_link_of_a_zip_is_an_error_and_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("l.png", "l.npy"):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    said = messages_of(list_items(tmp_path / "x.zip"))
    assert len(said) == 2
    assert all("link in the archive, which is not followed" in message for message in said)


def test_archives_inside_are_not_opened_and_noted(tmp_path: Path) -> None:
    inner = {f"{number}.zip": b"PK" for number in range(9)}
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG, **inner, "d.tar.gz": b""})
    notes: list[str] = []
    assert len(list_items(path, notes=notes)) == 1
    assert notes == [
        f"{path}: left out 10 archives inside, which are not opened: {path}!0.zip, {path}!1.zip, {path}!2.zip, ..."
    ]


def test_shadows_that_macos_packs_are_no_pictures(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG, "__MACOSX/._a.png": b"\0\5\x16\7"})
    assert list(contents(list_items(path))) == [f"{path}!a.png"]


def test_duplicate_names_are_two_rows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", b"2")
    write_tar(tmp_path / "x.tar", [tar_member("a.png", b"1"), tar_member("a.png", b"2")])
    for name in ("x.zip", "x.tar"):
        assert [item.content for item in list_items(tmp_path / name)] == [b"1", b"2"]  # type: ignore[union-attr]


@pytest.mark.parametrize("path", ["x.zip", "x.tar"])
def test_an_archive_without_images_is_one_error(tmp_path: Path, path: str) -> None:
    if path == "x.zip":
        write_zip(tmp_path / path, {"a.txt": b"x"})
    else:
        write_tar(tmp_path / path, [tar_member("a.txt", b"x")])
    assert messages_of(list_items(tmp_path / path)) == [f"{tmp_path / path} holds no image and no array of images"]


def test_encrypted_and_oddly_compressed_members_are_errors_and_the_rest_is_done(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG, "b.png": SEVEN_PNG, "c.png": SEVEN_PNG})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\1\2")
    data[first + 8] |= 1
    second = data.index(b"PK\1\2", first + 4)
    struct.pack_into("<H", data, second + 10, 12)
    path.write_bytes(data)
    items = list_items(path)
    assert ["encrypted" in m or "method 12" in m for m in messages_of(items)] == [True, True]
    assert contents(items)[f"{path}!c.png"] == SEVEN_PNG


def test_a_damaged_member_is_one_error_and_the_rest_is_done(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(3000)
    path = write_zip(tmp_path / "x.zip", {"a.png": noise, "x.npy": npy_bytes(GREY), "c.png": SEVEN_PNG})
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    data[data.index(b"x.npy") + 20] ^= 1
    path.write_bytes(data)
    items = list_items(path)
    assert [item.source.rpartition("!")[2] for item in items] == ["a.png", "x.npy", "c.png"]
    assert len(messages_of(items)) == 2
    assert all("damaged" in message for message in messages_of(items))


def test_an_array_whose_checksum_does_not_hold_gives_no_images(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"x.npy": npy_bytes(GREY)}, method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    (item,) = list_items(path)
    assert "its checksum" in messages_of([item])[0]


@pytest.mark.parametrize("cut", [1, 10, 21, 22, 40, 100, 200])
def test_a_zip_without_its_end_is_one_error(tmp_path: Path, cut: int) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG, "b.png": SEVEN_PNG})
    path.write_bytes(path.read_bytes()[:-cut])
    (message,) = messages_of(list_items(path))
    assert "damaged" in message


def test_a_damaged_directory_ends_in_one_error_after_what_came_before_it(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG, "b.png": SEVEN_PNG})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)] = 0
    path.write_bytes(data)
    items = list_items(path)
    assert list(contents(items).values()) == [SEVEN_PNG, None]
    assert "damaged directory after 1 member" in messages_of(items)[0]


def test_a_directory_of_another_length_than_it_says_is_an_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG})
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, len(data) - 12, 7)
    path.write_bytes(data)
    assert "1 member where its end says 7" in messages_of(list_items(path))[0]


def test_a_zip_behind_other_bytes_and_with_a_comment_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.png": SEVEN_PNG})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK\3\4 no comment"
    path.write_bytes(b"PK\3\4" + b"stub" * 10 + path.read_bytes())
    assert list(contents(list_items(path)).values()) == [SEVEN_PNG]


def test_zip64_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        with archive.open("a.png", "w", force_zip64=True) as member:
            member.write(SEVEN_PNG)
        for number in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"{number}.txt"), b"")
    notes: list[str] = []
    items = list_items(tmp_path / "x.zip", notes=notes)
    assert list(contents(items).values()) == [SEVEN_PNG]
    assert "66,000 files" in notes[0]


def zip_entry(name: bytes, *, packed: bytes, size: int, offset: int, crc: int, extra: bytes = b"") -> bytes:
    fields = (b"PK\1\2", 20, 20, 0x800, 8, 0, 0, crc, len(packed), size, len(name), len(extra), 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", *fields) + name + extra


def zip_of(entries: list[bytes], *, body: bytes) -> bytes:
    directory = b"".join(entries)
    count = min(len(entries), 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count % 65536, count % 65536, len(directory), len(body), 0)
    return body + directory + end


def local(packed: bytes, *, name: bytes = b"a.png") -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), 0, len(name), 0) + name + packed


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(data) + packer.flush()


def test_names_that_are_no_utf8_are_valid_text(tmp_path: Path) -> None:
    packed = deflate(SEVEN_PNG)
    fields = {"packed": packed, "size": len(SEVEN_PNG), "offset": 0, "crc": zlib.crc32(SEVEN_PNG)}
    entry = zip_entry(b"bad\xff.png", **fields)  # type: ignore[arg-type]  # of several kinds
    (tmp_path / "x.zip").write_bytes(zip_of([entry], body=local(packed)))
    (item,) = list_items(tmp_path / "x.zip")
    assert item.source.endswith("!bad\\udcff.png")
    assert item.content == SEVEN_PNG  # type: ignore[union-attr]  # it is an image


@pytest.mark.parametrize(("claimed", "said"), [(10, "size"), (10_000_000, "size"), (MAX_FILE_BYTES + 1, "most for an")])
def test_what_the_directory_claims_is_no_size(tmp_path: Path, claimed: int, said: str) -> None:
    packed = deflate(bytes(1000))
    entry = zip_entry(b"a.png", packed=packed, size=claimed, offset=0, crc=zlib.crc32(bytes(1000)))
    (tmp_path / "x.zip").write_bytes(zip_of([entry], body=local(packed)))
    assert said in messages_of(list_items(tmp_path / "x.zip"))[0]


@pytest.mark.parametrize("offset", [5, 10_000, 0xFFFFFFFE, 0xFFFFFFFF])
def test_a_member_that_is_elsewhere_is_an_error(tmp_path: Path, offset: int) -> None:
    packed = deflate(SEVEN_PNG)
    entry = zip_entry(b"a.png", packed=packed, size=len(SEVEN_PNG), offset=offset, crc=zlib.crc32(SEVEN_PNG))
    (tmp_path / "x.zip").write_bytes(zip_of([entry], body=local(packed)))
    assert "not where the directory says" in messages_of(list_items(tmp_path / "x.zip"))[0]


MEMORY_CODE = """
import resource, sys, time
from toolkit.prediction.sources.open import open_items
from toolkit.prediction.sources import archives, parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, last = 0, ""
for item in open_items(sys.argv[1:]):
    rows += item.num_rows
    last = getattr(item, "message", "")
print(rows)
print(last)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
print(time.process_time())
"""


def measure(path: Path) -> tuple[int, str, float, float]:
    """Return rows, the last message, MB that were needed and seconds of the processor, of a process of its own."""
    result = subprocess.run([sys.executable, "-c", MEMORY_CODE, str(path)], capture_output=True, text=True, check=True)
    rows, last, kib, seconds = result.stdout.splitlines()
    return int(rows), last, int(kib) / 1024, float(seconds)


def test_a_bomb_of_overlapping_members_ends_in_one_error(tmp_path: Path) -> None:
    """David Fifield's construction in its simplest form: a million members that share one body."""
    packed = deflate(bytes(20_000_000))
    crc = zlib.crc32(bytes(20_000_000))
    entries = [zip_entry(b"%d.png" % n, packed=packed, size=20_000_000, offset=0, crc=crc) for n in range(3000)]
    (tmp_path / "x.zip").write_bytes(zip_of(entries, body=local(packed)))
    rows, last, grown_mb, seconds = measure(tmp_path / "x.zip")
    assert "archive bomb" in last
    assert rows < 100
    assert grown_mb < 200
    assert seconds < 40


@pytest.mark.slow
def test_a_million_members_take_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "x.zip").open("wb") as stream:
        size = sum(stream.write(zip_entry(b"%d.txt" % n, packed=b"", size=0, offset=0, crc=0)) for n in range(10**6))
        stream.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, size, 0))
        stream.write(struct.pack("<4sLQL", b"PK\6\7", 0, size, 1))
        stream.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(local(b"") + data)  # begins like an archive; the offsets shift
    rows, last, grown_mb, seconds = measure(tmp_path / "x.zip")
    assert (rows, "holds no image" in last) == (1, True)
    assert grown_mb < 30
    assert seconds < 60


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz"])
def test_a_bomb_of_a_tar_is_not_unpacked_to_its_end(tmp_path: Path, packed: str) -> None:
    info, _ = tar_member("a.bin")
    info.size = 3 << 30
    chunk = bytes(20 << 20)
    pack = {
        "gz": lambda data: gzip.compress(data, 1),
        "bz2": lambda data: bz2.compress(data, 1),
        "xz": lambda data: lzma.compress(data, preset=0),
    }[packed]
    # More than 128 MiB and a thousandfold, in streams one behind the other.
    (tmp_path / "x").write_bytes(pack(info.tobuf() + chunk) + {"gz": 7, "bz2": 13, "xz": 10}[packed] * pack(chunk))
    _, last, grown_mb, _ = measure(tmp_path / "x")
    assert "archive bomb" in last or "cut off" in last
    assert ("archive bomb" in last) == (packed != "gz")  # which cannot pack so much more than a thousandfold
    assert grown_mb < 60


def test_a_tar_whose_header_claims_a_huge_name_is_refused(tmp_path: Path) -> None:
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        info, _ = tar_member("x", type=kind)
        info.size = 2 << 30
        with gzip.open(tmp_path / "x", "wb", compresslevel=1) as stream:
            stream.write(info.tobuf() + bytes(1 << 20))
        assert "the most is 1048576" in messages_of(list_items(tmp_path / "x"))[0]


def test_an_xz_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    body = b"".join((info.tobuf() + data.ljust(512, b"\0")) for info, data in [tar_member("a.png", SEVEN_PNG)])
    (tmp_path / "x").write_bytes(lzma.compress(body + bytes(1024), filters=filters))
    assert "damaged or cut off: Memory usage limit" in messages_of(list_items(tmp_path / "x"))[0]


def test_a_tar_image_past_the_cap_is_one_error_and_the_rest_is_done(tmp_path: Path) -> None:
    big, _ = tar_member("big.png")
    big.size = MAX_FILE_BYTES + 1
    with (tmp_path / "x.tar").open("wb") as stream:
        stream.write(big.tobuf())
        stream.seek(512 + MAX_FILE_BYTES + 512)
        stream.write(tar_member("a.png", SEVEN_PNG)[0].tobuf() + SEVEN_PNG.ljust(512, b"\0") + bytes(1024))
    items = list_items(tmp_path / "x.tar")
    assert [item.content for item in items] == [None, SEVEN_PNG]  # type: ignore[union-attr]  # images
    assert "the most for an image" in messages_of(items)[0]


@pytest.mark.parametrize("packed", PACKINGS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.999])
def test_a_truncated_tar_ends_in_one_error_after_what_came_before_it(tmp_path: Path, packed: str, share: float) -> None:
    rng = random.Random(1)
    bodies = [rng.randbytes(40_000) for _ in range(10)]
    path = write_tar(tmp_path / "x", [tar_member(f"{n}.png", body) for n, body in enumerate(bodies)], packed=packed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)] if packed or share < 0.9 else whole[: 10 * (40_960 - 448)])
    items = list_items(path)
    (message,) = messages_of(items)
    assert "cut off" in message or "damaged" in message
    got = [item.content for item in items if item.content]  # type: ignore[union-attr]  # images
    assert got == bodies[: len(got)]
    assert len(got) == len(items) - 1


def test_a_flipped_byte_of_a_packed_tar_is_noticed(tmp_path: Path) -> None:
    body = random.Random(2).randbytes(50_000)
    path = write_tar(tmp_path / "x", [tar_member("a.png", body)], packed="gz")
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # in the checksum
    path.write_bytes(data)
    assert "damaged or cut off: CRC check failed" in messages_of(list_items(path))[0]


def test_a_damaged_header_of_a_tar_is_an_error(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x", [tar_member("a.png", SEVEN_PNG), tar_member("b.png", SEVEN_PNG)])
    data = bytearray(path.read_bytes())
    data[1024] ^= 1
    path.write_bytes(data)
    items = list_items(path)
    assert list(contents(items).values()) == [SEVEN_PNG, None]
    assert "damaged member header: bad checksum" in messages_of(items)[0]


def test_a_bad_array_in_an_archive_is_one_error_and_the_rest_is_done(tmp_path: Path) -> None:
    members = {"s.npy": npy_bytes(GREY)[:-1], "o.npy": b"\x93NUMPY\1\0", "e.npy": b"", "a.png": SEVEN_PNG}
    write_zip(tmp_path / "x.zip", members)
    write_tar(tmp_path / "x.tar", [tar_member(name, data) for name, data in members.items()])
    for name in ("x.zip", "x.tar"):
        items = list_items(tmp_path / name)
        assert [item.source.rpartition("!")[2] for item in items] == list(members)
        assert len(messages_of(items)) == 3


def test_sparse_members_are_errors(tmp_path: Path) -> None:
    header, _ = tar_member("a.png", type=tarfile.GNUTYPE_SPARSE)
    (tmp_path / "x").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "a sparse file in the archive" in messages_of(list_items(tmp_path / "x"))[0]


def test_several_gzip_members_and_padding_are_one_archive(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x", [tar_member("a.png", SEVEN_PNG), tar_member("b.png", SEVEN_PNG)])
    data = path.read_bytes()
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        path.write_bytes(pack(data[:1500]) + pack(data[1500:]) + (b"" if pack is bz2.compress else bytes(8)))
        assert list(contents(list_items(path)).values()) == [SEVEN_PNG, SEVEN_PNG]


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["zip", "", "gz", "xz"]))
def test_any_damage_gives_items_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    members = {"a.png": SEVEN_PNG, "x.npy": npy_bytes(GREY), "b.txt": b"b", "c.png": SEVEN_PNG}
    if kind == "zip":
        write_zip(path, members)
    else:
        write_tar(path, [tar_member(name, data) for name, data in members.items()], packed=kind)
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data[: rng.randint(1, len(data))] if rng.random() < 0.3 else data)
    for item in list_items(path):
        assert item.num_rows >= 0
        assert item.source.isprintable()


@given(data=st.dictionaries(st.text(min_size=1, max_size=20), st.binary(max_size=2000), max_size=8))
def test_what_zipfile_writes_is_what_comes_out(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, bytes]
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, body in enumerate(data.values()):
            archive.writestr(f"{number}.png", body)
    path = tmp_path_factory.getbasetemp() / "written.zip"
    path.write_bytes(stream.getvalue())
    if data:
        assert list(contents(list_items(path)).values()) == list(data.values())
