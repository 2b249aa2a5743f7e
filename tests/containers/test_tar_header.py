from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from item_sources import SEVEN_PNG, list_items, tar_member

from toolkit.containers.tar import is_header, parse_header

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]
# Whatever fits a header without another one before it.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=24).filter(
    lambda name: tarfile.TarInfo(name).get_info()["name"] == name and not name.endswith("/")
)


@given(
    name=NAMES,
    size=st.integers(0, (1 << 33) - 1),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]),
    form=st.sampled_from(FORMATS),
)
def test_headers_are_read_as_tarfile_reads_them(name: str, size: int, kind: bytes, form: int) -> None:
    info, _ = tar_member(name, type=kind)
    info.size = size
    block = info.tobuf(form)
    expected = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    found = parse_header(block)
    assert (found.name.rstrip("/"), found.size_bytes) == (expected.name, expected.size)
    assert found.kind == (b"0" if kind == tarfile.AREGTYPE else kind)


@pytest.mark.parametrize("name", ["p" * 90 + "/" + "n" * 90, "p" * 150 + "/n", "ü" * 40 + "/" + "n" * 90])
def test_names_in_two_parts_are_put_together(name: str) -> None:
    assert parse_header(tar_member(name)[0].tobuf(tarfile.USTAR_FORMAT)).name == name


def test_sizes_past_eight_gigabytes_are_read_and_skipped(tmp_path: Path) -> None:
    info, _ = tar_member("big.bin")
    info.size = 9 << 30
    block = info.tobuf(tarfile.GNU_FORMAT)
    assert parse_header(block).size_bytes == 9 << 30
    with (tmp_path / "x").open("wb") as stream:
        stream.write(block)
        stream.seek(512 + (9 << 30))
        stream.write(tar_member("a.png", SEVEN_PNG)[0].tobuf() + SEVEN_PNG.ljust(512, b"\0") + bytes(1024))
    (item,) = list_items(tmp_path / "x")
    assert item.source.endswith("!a.png")


@pytest.mark.parametrize("place", [0, 100, 124, 150, 156, 345, 511])
def test_a_flipped_bit_is_noticed(place: int) -> None:
    block = bytearray(tar_member("a.png", b"x")[0].tobuf())
    assert is_header(bytes(block))
    block[place] ^= 1
    assert not is_header(bytes(block))
    with pytest.raises(ValueError, match="checksum"):
        parse_header(bytes(block))


def test_a_negative_size_is_refused() -> None:
    block = bytearray(tar_member("a.png", b"x")[0].tobuf())
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(ValueError, match="size of -1"):
        parse_header(bytes(block))
