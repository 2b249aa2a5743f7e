"""FAULTS 1-4, 8, 11, 12, 15 and 31 through `toolkit predict`: one error row each, the rest done, exit 3, bounded memory."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from idx_files import encode_idx
from imaging_samples import draw_seven, encode, oversized_png, oversized_webp, png_chunk, text_bomb_png
from PIL import Image
from predict_command import Predicted, run_predict
from tiny_models import save_model

pytestmark = pytest.mark.usefixtures("probed_once")

SEVEN = draw_seven()
GOOD = encode(SEVEN)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
ALLOWED_MB = 50
BOMB = zlib.compress(bytes(100 << 20), 1)  # twice of what is allowed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "m.onnx", height=28, width=28)


@pytest.fixture(scope="module")
def idle_mb(model: Path, module_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The memory of a run of eight good pictures; its second time, when the model has been probed."""
    folder = tmp_path_factory.mktemp("idle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLKIT_CACHE", str(module_cache))
        paths = [folder / f"{number}.png" for number in range(8)]
        for path in paths:
            path.write_bytes(GOOD)
        run_predict(model, *paths, output=folder / "out.csv")
        return run_predict(model, *paths, output=folder / "out.csv").peak_mb


def predict_beside_good(model: Path, folder: Path, bad: Mapping[str, bytes]) -> Predicted:
    """Predict bad files between two good ones; each has to be an error row, in order, and the good ones answered."""
    names = ["0-good.png", *bad, "z-good.png"]
    for name, data in {"0-good.png": GOOD, **bad, "z-good.png": GOOD}.items():
        (folder / name).write_bytes(data)
    done = run_predict(model, *(folder / name for name in names), output=folder / "out.csv")
    assert done.code == 3, done.stderr
    assert [Path(row["source"].partition("!")[0]).name for row in done.rows] == names
    assert [row["status"] for row in done.rows] == ["ok", *["error"] * len(bad), "ok"]
    for row in done.rows[1:-1]:
        assert row["message"]
        assert "\n" not in row["message"]
        assert (row["label"], row["probability"]) == ("", "")
    have = "has" if len(bad) == 1 else "have"
    assert done.stderr.splitlines()[-1].startswith(f"error: {len(bad)} of {len(names)} rows {have} no prediction")
    return done


def oversized_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encode(NOISE, "JPEG"))
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, height, width)
    return bytes(data)


def oversized_bmp(width: int, height: int) -> bytes:
    data = bytearray(encode(NOISE, "BMP"))
    struct.pack_into("<ii", data, 18, width, height)
    return bytes(data)


def oversized_gif(width: int, height: int) -> bytes:
    data = bytearray(encode(NOISE, "GIF"))
    struct.pack_into("<HH", data, 6, width, height)
    place = data.index(b"\x2c")
    struct.pack_into("<HH", data, place + 5, width, height)
    return bytes(data)


def test_fault_1_a_huge_size_in_a_tiny_file_is_refused_from_the_header(
    tmp_path: Path, model: Path, idle_mb: float
) -> None:
    bad = {
        "a.png": oversized_png(65535, 65535),
        "b.png": oversized_png(2**31 - 1, 2**31 - 1),
        "c.webp": oversized_webp(65535, 65535),
        "d.jpg": oversized_jpeg(65500, 65500),
        "e.bmp": oversized_bmp(65535, 65535),
        "f.gif": oversized_gif(65535, 65535),
    }
    done = predict_beside_good(model, tmp_path, bad)
    assert done.peak_mb < idle_mb + ALLOWED_MB


def test_fault_2_sizes_between_pillows_limits_are_refused(tmp_path: Path, model: Path, idle_mb: float) -> None:
    bad = {
        "a.png": oversized_png(10_000, 9_500),
        "b.png": oversized_png(13_000, 13_500),
        "c.jpg": oversized_jpeg(12_000, 12_000),
        "d.png": oversized_png(40_001, 1_000),
    }
    done = predict_beside_good(model, tmp_path, bad)
    assert all("pixels" in row["message"] for row in done.rows[1:-1])
    assert done.peak_mb < idle_mb + ALLOWED_MB


def test_fault_3_other_formats_called_png_are_refused_by_name_of_the_fault(tmp_path: Path, model: Path) -> None:
    large = Image.fromarray(SEVEN).resize((32, 32))
    bad = {
        "avif.png": encode(large, "AVIF"),
        "jp2.png": encode(large, "JPEG2000"),
        "psd.png": b"8BPS\0\1" + b"\0" * 60,
        "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "fits.png": b"SIMPLE  =                    T" + b" " * 80,
    }
    done = predict_beside_good(model, tmp_path, bad)
    assert all("format not allowed" in row["message"] for row in done.rows[1:-1])


def test_fault_4_truncated_empty_and_corrupt_files_are_refused(tmp_path: Path, model: Path) -> None:
    bad = {"empty.png": b"", "one.png": GOOD[:1]}
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP"):
        data = encode(NOISE, kind)
        for share in (10, 50, 90):
            bad[f"{share}.{kind.lower()}"] = data[: len(data) * share // 100]
    for place in (20, 60, len(GOOD) - 5):
        bad[f"crc{place}.png"] = GOOD[:place] + bytes([GOOD[place] ^ 1]) + GOOD[place + 1 :]
    predict_beside_good(model, tmp_path, bad)


def test_fault_8_a_text_bomb_is_refused_unpacked(tmp_path: Path, model: Path, idle_mb: float) -> None:
    text = png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB)
    profile = png_chunk(b"iCCP", b"p\0\0" + BOMB)
    bad = {"ztxt.png": text_bomb_png(100 << 20), "itxt.png": GOOD[:33] + text + GOOD[33:]}
    done = predict_beside_good(model, tmp_path, bad)
    assert done.peak_mb < idle_mb + ALLOWED_MB
    # A colour profile that is too long is metadata that nobody asked for: refused or ignored, but never unpacked.
    (tmp_path / "iccp.png").write_bytes(GOOD[:33] + profile + GOOD[33:])
    done = run_predict(model, tmp_path / "iccp.png", output=tmp_path / "out.csv")
    assert done.code in {0, 3}
    assert done.peak_mb < idle_mb + ALLOWED_MB


def test_fault_11_bad_gzip_is_refused(tmp_path: Path, model: Path, idle_mb: float) -> None:
    whole = gzip.compress(encode_idx(np.stack([SEVEN] * 3)))
    bomb = encode_idx(SEVEN[np.newaxis]) + bytes(140 << 20)
    bad = {
        "bomb": gzip.compress(bomb, 1),
        "cut": whole[:-5],
        "crc": whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:],
        "members": whole + gzip.compress(b"x"),
        "rest": whole + b"rest",
        "text": gzip.compress(b"hello"),
    }
    done = predict_beside_good(model, tmp_path, bad)
    assert done.peak_mb < idle_mb + ALLOWED_MB
    (tmp_path / "packed").write_bytes(whole)  # gzip without the ending is read
    assert run_predict(model, tmp_path / "packed", output=tmp_path / "out.csv").code == 0


def npy_header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def test_fault_12_bad_npy_is_refused(tmp_path: Path, model: Path, idle_mb: float) -> None:
    bad = {
        "object.npy": npy_header("(28, 28)", "|O") + b"\x80\x04N.",
        "header.npy": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
        "dims.npy": npy_header(f"({', '.join(['1'] * 3000)},)"),
        "huge.npy": npy_header("(1000000000000, 28, 28)") + bytes(784),
        "negative.npy": npy_header("(-1, 28)") + bytes(784),
        "empty.npy": b"",
        "pickle.npy": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0",
        "npz.npz": zip_bytes({"a.npy": npy_header("(1000000000000, 28, 28)"), "b.npy": npy_header("(2,", "|O")})[:-30],
    }
    done = predict_beside_good(model, tmp_path, bad)
    assert done.peak_mb < idle_mb + ALLOWED_MB


def test_fault_15_only_regular_files_are_opened_and_the_csv_parses(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(GOOD)
    Path(os.fsdecode(bytes(folder) + b'/new\nline,"\xff\x1b[31m.png')).write_bytes(GOOD)
    os.mkfifo(folder / "fifo.png")
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to("self.png")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        done = run_predict(model, folder, output=tmp_path / "out.csv")
    assert done.code == 3
    status = {row["source"][len(str(folder)) + 1 :]: row["status"] for row in done.rows}
    assert status == {
        "a.png": "ok",
        'new\nline,"\\udcff\x1b[31m.png': "ok",
        "fifo.png": "error",
        "loop": "error",
        "self.png": "error",
        "socket.png": "error",
    }


@pytest.mark.slow
def test_fault_15_a_folder_of_100_000_files_is_done_in_order(tmp_path: Path, model: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(100_000):
        (tmp_path / "in" / f"{number:06}.png").write_bytes(GOOD if number != 77_777 else b"")
    done = run_predict(model, tmp_path / "in", output=tmp_path / "out.csv")
    assert done.code == 3
    assert [row["source"][-10:-4] for row in done.rows] == [f"{number:06}" for number in range(100_000)]
    assert [row["source"][-10:] for row in done.rows if row["status"] == "error"] == ["077777.png"]


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tar_bytes(*members: tuple[str, bytes, bytes]) -> bytes:
    """Members as (name, type, content)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_fault_31_archives_write_nothing_and_links_are_not_followed(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = ["../out.png", "/abs.png", "a.png", "a/b.png"]
    (folder / "x.zip").write_bytes(zip_bytes(dict.fromkeys(names, GOOD)))
    members = [(name, tarfile.REGTYPE, GOOD) for name in names]
    links = [("l.png", tarfile.SYMTYPE, b""), ("h.png", tarfile.LNKTYPE, b""), ("d.png", tarfile.CHRTYPE, b"")]
    (folder / "x.tgz").write_bytes(tar_bytes(*members, *links))
    done = run_predict(model, folder / "x.zip", folder / "x.tgz", output=tmp_path / "out.csv")
    assert done.code == 3
    assert [row["source"].split("!")[1] for row in done.rows] == [*names, *names, "l.png", "h.png", "d.png"]
    assert [row["status"] for row in done.rows] == ["ok"] * 8 + ["error"] * 3
    assert sorted(path.name for path in folder.iterdir()) == ["x.tgz", "x.zip"]
    assert not (tmp_path / "out.png").exists()


def test_fault_31_bombs_are_refused_in_bounded_memory(tmp_path: Path, model: Path, idle_mb: float) -> None:
    huge = bytes(140 << 20)
    bad = {
        "image.zip": zip_bytes({"a.png": huge}),
        "array.zip": zip_bytes({"a.npy": npy_header("(1000000000000, 28, 28)") + huge}),
        "cut.zip": zip_bytes({"a.png": GOOD})[:-10],
        "cut.tgz": tar_bytes(("a.png", tarfile.REGTYPE, NOISE.tobytes() * 50))[:-3000],
        "none.zip": zip_bytes({f"{number}.txt": b"" for number in range(20_000)}),
    }
    done = predict_beside_good(model, tmp_path, bad)
    assert done.peak_mb < idle_mb + ALLOWED_MB
