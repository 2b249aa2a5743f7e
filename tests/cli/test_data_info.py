"""`toolkit data info` on whatever lies at a path: what it is, what a training makes of it, what to do."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import LAYOUTS, Writer, encode, make_pictures
from PIL import Image

from toolkit.cli.app import main

PIXELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def info(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> dict[str, Any]:
    assert run(path, *more, "--json") == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def run(path: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["data", "info", str(path), *more])
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("folders", "class folders of pictures"), ("zip", "class folders of pictures in a ZIP archive"),
        ("tar", "class folders of pictures in a tar archive"), ("idx", "IDX files"), ("npz", "arrays in an NPZ file"),
        ("csv", "tables of pixels (CSV)"), ("parquet", "pictures in Parquet files"),
        ("tiff", "class folders of pictures"),
    ],
)  # fmt: skip
def test_a_data_set_is_told_by_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, words: str
) -> None:
    path = LAYOUTS[layout](Writer(make_pictures(60, classes=3), seed=1), tmp_path / "own")
    report = info(capsys, path)
    assert (report["taken_for"], report["trains"], report["next"]) == (words, True, f"toolkit train --data {path}")
    assert (report["train"]["count"], report["test"]["count"], report["validation"]) == (48, 12, 9)
    assert report["pictures"]["count"] == 60
    assert report["pictures"]["most_common"] == {"size": [16, 16], "count": 60}
    formats = {"folders": "PNG", "zip": "PNG", "tar": "PNG", "parquet": "PNG", "tiff": "TIFF"}
    assert report["pictures"]["formats"] == ({formats[layout]: 60} if layout in formats else {})


def test_pictures_of_several_sizes_are_described_and_a_size_is_proposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, shape in enumerate([(300, 400), (300, 400), (600, 400), (150, 200)]):
        for name in "ab":
            path = tmp_path / "photos" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((*shape, 3), 20 * number, np.uint8)).save(path)
    report = info(capsys, tmp_path / "photos")
    assert report["next"].endswith("photos --size 48x64")
    assert "pictures are decoded when a training begins" in report["notes"][-1]
    assert (report["pictures"]["smallest"], report["pictures"]["largest"]) == ([150, 200], [600, 400])
    assert report["pictures"]["most_common"] == {"size": [300, 400], "count": 4}
    assert "sha256" not in report
    assert run(tmp_path / "photos") == 0
    assert "a training refuses it as it is: its pictures have 3 sizes" in capsys.readouterr().out
    sized = info(capsys, tmp_path / "photos", "--size", "48x64")
    assert (sized["trains"], sized["input"]["height"], sized["input"]["width"]) == (False, 48, 64)
    assert not any("are decoded when" in note for note in sized["notes"])
    assert "expected at least 10 images" in sized["problem"]


def test_pictures_that_stand_in_both_parts_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = make_pictures(60, classes=3)
    copied = [each._replace(part="test") for each in pictures if each.part == "train"][:7]
    path = Writer(pictures + copied, seed=0).folders(tmp_path / "own")
    assert info(capsys, path)["in_both"] == 7
    assert run(path) == 0
    assert "test holds 7 pictures of train too" in capsys.readouterr().out


def save_onnx(path: Path) -> Path:
    (path / "m.onnx").write_bytes(b"\x08\x08")
    return path / "m.onnx"


def save_pickle(path: Path) -> Path:
    (path / "cifar" / "cifar-10-batches-py").mkdir(parents=True)
    for name in ("data_batch_1", "batches.meta"):
        (path / "cifar" / "cifar-10-batches-py" / name).write_bytes(pickle.dumps({"data": 1}))
    return path / "cifar"


def save_text(path: Path) -> Path:
    (path / "words.txt").write_text("words")
    return path / "words.txt"


def save_empty_folder(path: Path) -> Path:
    (path / "nothing").mkdir()
    return path / "nothing"


def save_archives(path: Path) -> Path:
    (path / "packed").mkdir()
    for name in ("a.zip", "b.zip"):
        zipfile.ZipFile(path / "packed" / name, "w").close()
    return path / "packed"


def save_heic(path: Path) -> Path:
    for name in "ab":
        (path / "phone" / name).mkdir(parents=True)
        (path / "phone" / name / "1.HEIC").write_bytes(b"x")
    return path / "phone"


def save_empty_zip(path: Path) -> Path:
    zipfile.ZipFile(path / "empty.zip", "w").close()
    return path / "empty.zip"


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (save_onnx, ("is a model, no data", "toolkit inspect")), (save_pickle, ("holds pickles", "never opened")),
        (save_text, ("is text", "expected class folders")), (save_empty_folder, ("is empty", "expected")),
        (save_archives, ("holds archives (a.zip, b.zip)", "name one")),
        (save_heic, ("no picture that is read: 2 HEIC", "convert HEIC")), (save_empty_zip, ("is empty", "expected")),
    ],
)  # fmt: skip
def test_what_is_no_data_is_told_with_a_step_and_leaves_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], save: Callable[[Path], Path], words: tuple[str, str]
) -> None:
    path = save(tmp_path)
    assert run(path) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert run(path, "--json") == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["trains"], report["predicts"]) == (False, False)


def test_what_can_be_predicted_is_described_and_leaves_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    for number in range(3):
        (loose / f"{number}.png").write_bytes(encode(PIXELS))
    (loose / "cut.png").write_bytes(encode(PIXELS)[:20])
    np.save(tmp_path / "x.npy", PIXELS[np.newaxis])
    seen = {path.name: info(capsys, path) for path in (loose, loose / "0.png", tmp_path / "x.npy")}
    assert {name: report["predicts"] for name, report in seen.items()} == dict.fromkeys(seen, True)
    assert "4 pictures and no class folders" in seen["loose"]["problem"]
    assert (seen["loose"]["pictures"]["count"], seen["0.png"]["pictures"]["formats"]) == (3, {"PNG": 1})
    assert "cut.png" in seen["loose"]["notes"][0]
    assert all("toolkit predict MODEL" in report["next"] for report in seen.values())
    assert run(loose) == 0
    assert max(map(len, capsys.readouterr().out.splitlines()[:3])) <= 80 + len(str(loose))


def test_a_thousand_classes_fit_on_a_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.repeat(np.arange(1000), 2)
    images = np.random.default_rng(0).integers(0, 256, (2000, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images[::2], y_test=labels[::2])
    assert run(tmp_path / "x.npz") == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 60
    assert "960 more" in out
