from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from imaging_samples import draw_seven, encode
from predict_command import predict_here, read_rows

from toolkit.prediction.truths import Truths, tell_truth_of_folder

CLASSES = ("7", "café", "seven!up", "10")


@pytest.mark.parametrize(
    ("source", "truth"),
    [
        ("test/7/x.png", "7"),
        ("7/x.png", "7"),
        ("a\\7\\x.png", "7"),
        ("7/deep/x.png", ""),
        ("scans.zip!7/x.png", "7"),
        ("in/scans.tar!train/7/x.png", "7"),
        ("7/scans.zip!x.png", "7"),
        ("scans.zip!x.png", ""),
        ("cafe\u0301/x.png", "café"),
        ("seven!up/x.png", "seven!up"),
        ("a.zip!seven!up/x.png", ""),
        ("17/x.png", ""),
        ("10/7.png", "10"),
        ("7.png", ""),
    ],
)
def test_the_folder_that_holds_a_picture_tells_its_class(source: str, truth: str) -> None:
    assert tell_truth_of_folder(source, CLASSES)[0] == truth


def test_a_picture_of_the_working_folder_lies_in_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "7")
    assert tell_truth_of_folder("x.png", CLASSES)[0] == tell_truth_of_folder("./x.png", CLASSES)[0] == "7"
    monkeypatch.chdir(tmp_path / "7" / "deep")
    assert tell_truth_of_folder("../x.png", CLASSES)[0] == "7"


def test_folders_that_are_no_class_are_counted_and_named() -> None:
    truths = Truths("folder", CLASSES)
    assert truths.of_sources(["7/a", "misc/b", "misc/c", "other/d"]) == ["7", "", "", ""]
    (note,) = truths.describe()
    assert note.startswith("rows not scored, as their folder is no class of the model: 3 (misc, other); its ")
    assert Truths("folder", CLASSES).describe() == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("test/7/a.png", "test/7/b.png", "test/1/c.png", "test/misc/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode(draw_seven()))
    return tmp_path / "test"


def test_folders_archives_patterns_and_lists_are_scored_alike(
    pictures: Path, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(pictures.rglob("*.png"))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed, tarfile.open(tmp_path / "x.tar", "w") as tar:
        for file in files:
            packed.write(file, file.relative_to(tmp_path))
            tar.add(file, file.relative_to(tmp_path))
    monkeypatch.chdir(tmp_path)
    for number, source in enumerate(("test", "x.zip", "x.tar", "test/**/*.png", "-")):
        stdin = "\n".join(map(str, files)) if source == "-" else ""
        output = tmp_path / f"{number}.csv"
        done = predict_here(str(model_path), source, "--labels-from-folder", "-o", str(output), stdin=stdin)
        assert sorted(row["truth"] for row in read_rows(output)) == ["", "1", "7", "7"]
        assert "2 of 3 agree with their folder's name: 66.67 %" in done.stdout, done.stdout
        assert "as their folder is no class of the model: 1 (misc); its classes are 0, 1" in done.stderr


def test_with_nothing_to_score_it_says_so_and_two_truths_are_refused(
    pictures: Path, model_path: Path, tmp_path: Path
) -> None:
    words = [str(model_path), str(pictures / "misc"), "-o", str(tmp_path / "o.csv"), "--labels-from-folder"]
    done = predict_here(*words)
    assert "nothing to score: no picture lies in a folder that is named like a class" in done.stdout
    assert "choose one" in predict_here(*words, "--labels-from-filename", "--force", code=2).stderr
    assert os.listdir(pictures / "misc") == ["d.png"]  # noqa: PTH208
