"""`toolkit data`: what goes to stdout, where pictures land, how it leaves."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.cli.app import main
from toolkit.data.catalog.entries import CATALOG, MNIST
from toolkit.data.catalog.fetch import entry_folder

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", *arguments])
    code = caught.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("TOOLKIT_DATA", str(tmp_path / "cache"))
    return tmp_path


def test_info_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "mnist-mini", "--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["schema"] == "toolkit/data/1"
    assert report["train"] == {"count": 5000, "per_class": {str(digit): 500 for digit in range(10)}}
    assert report["input"] == {"height": 28, "width": 28, "channels": 1, "polarity": "light-on-dark", "fit": "mnist"}
    assert report["train_pixels"]["mean"] == pytest.approx(33.67675841836735)
    assert report["train_pixels"]["std"] == pytest.approx(78.93274635908766)
    assert "mnist-mini" in err


def test_info_text_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "mnist-mini") == 0
    out, err = capsys.readouterr()
    assert "5,000" in out
    assert "light-on-dark" in out
    assert err == ""


def test_fetch_of_the_embedded_set_needs_no_network(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fetch", "mnist-mini", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "toolkit/data-fetch/1"
    assert len(report["files"]) == 4
    assert "LeCun" in report["attribution"]
    assert not (stores / "cache").exists()


def test_changed_cache_leaves_with_6_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    folder = entry_folder(MNIST)
    folder.mkdir(parents=True)
    for file in MNIST.files:
        (folder / file.name).write_bytes(b"edited")
    assert run("fetch") == run("info") == run("show") == 6
    err = capsys.readouterr().err
    assert err.count("\n") == 3
    assert f"{folder / MNIST.files[0].name} has changed" in err


def test_no_source_leaves_with_6_and_the_way_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    monkeypatch.setitem(CATALOG, "mnist", replace(MNIST, mirrors=("https://localhost:1/",), npm_package=None))
    assert run("fetch") == 6
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "localhost:1/" in err
    assert "--data mnist-mini" in err


@pytest.mark.parametrize("command", ["fetch", "info", "show"])
def test_unknown_name_leaves_with_2_and_a_suggestion(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "mnits") == 2
    assert "did you mean 'mnist'" in capsys.readouterr().err


def test_damaged_folder_leaves_with_3(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stores / "train-images-idx3-ubyte").write_bytes(gzip.compress(b"\0\0\x08\x03"))
    assert run("info", str(stores)) == 3
    assert "lacks train labels" in capsys.readouterr().err


def test_show_writes_two_pictures_with_names_of_their_own(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fruit = str(fill_pets(stores / "fruit"))
    assert run("show", fruit) == run("show", fruit) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len(set(paths)) == 4
    assert {path.parent for path in paths} == {stores / "artifacts" / "reports"}
    assert all(path.read_bytes().startswith(PNG_MAGIC) for path in paths)
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_show_overwrites_an_output_only_when_forced(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = stores / "digits-one-class.png"
    second.write_bytes(b"mine")
    options = ("show", str(fill_pets(stores / "fruit")), "--output", str(stores / "digits.png"))
    assert run(*options) == 2
    assert second.read_bytes() == b"mine"
    assert not (stores / "digits.png").exists()
    assert run(*options, "--force") == 0
    assert second.read_bytes().startswith(PNG_MAGIC)


def test_show_takes_a_class_by_name(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fruit = str(fill_pets(stores / "fruit"))
    for name in ("apple", "pear"):
        assert run("show", fruit, "--class", name, "--output", str(stores / f"{name}.png")) == 0
    assert (stores / "apple.png").read_bytes() == (stores / "pear.png").read_bytes()
    assert (stores / "apple-one-class.png").read_bytes() != (stores / "pear-one-class.png").read_bytes()
    assert run("show", fruit, "--class", "x") == 2


def test_show_refuses_another_ending_than_png(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "mnist-mini", "--output", str(stores / "digits.jpg")) == 2
    assert ".png" in capsys.readouterr().err


def fill_pets(folder: Path) -> Path:
    """Six pictures each of two classes: red and green squares on grey ground, 18 high and 24 wide."""
    for name, colour in (("apple", (220, 30, 30)), ("pear", (60, 200, 60))):
        (folder / name).mkdir(parents=True)
        for index in range(6):
            picture = Image.new("RGB", (24, 18), (90, 90, 90))
            picture.paste(colour, (index, index, index + 10, index + 10))
            picture.save(folder / name / f"{index}.png")
    return folder


def test_info_of_an_image_folder_names_its_classes_and_what_was_done(
    stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill_pets(stores / "fruit")
    (folder / "pear" / "notes.txt").write_text("ripe")
    assert run("info", str(folder), "--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["classes"] == ["apple", "pear"]
    assert report["test"] == {"count": 2, "per_class": {"apple": 1, "pear": 1}}
    assert report["input"] == {"height": 18, "width": 24, "channels": 3, "polarity": "any", "fit": "stretch"}
    assert "left out 1 file of other names" in err
    assert "held out" in err


def test_size_reaches_the_images(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(fill_pets(stores / "fruit"))
    for text, shape in (("32", (32, 32)), ("16x40", (16, 40)), ("16X40", (16, 40))):
        assert run("info", folder, "--size", text, "--json") == 0
        size = json.loads(capsys.readouterr().out)["input"]
        assert (size["height"], size["width"]) == shape


@pytest.mark.parametrize("text", ["", "x", "32x", "a", "1x2x3", "-32", "3.5", "15", "200", "9999999999"])
def test_size_that_makes_no_sense_leaves_with_2(text: str, stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", str(fill_pets(stores / "fruit")), f"--size={text}") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_show_draws_colours_and_the_first_images_class(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", str(fill_pets(stores / "fruit")), "--output", str(stores / "x.png")) == 0
    with Image.open(stores / "x.png") as picture:
        colours = set(map(tuple, np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()))
    assert {(220, 30, 30), (60, 200, 60)} <= colours
    assert (stores / "x-one-class.png").exists()


def test_bad_image_leaves_with_3_and_one_line(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fill_pets(stores / "fruit")
    (folder / "pear" / "line\nbreak.png").write_bytes(b"no image")
    assert run("info", str(folder)) == 3
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert "break.png" in error[0]


def test_info_and_show_take_an_npz(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = np.zeros((6, 16, 16, 3), np.uint8), np.array([0, 1, 0, 1, 0, 1])
    names = np.array(["cat", "dog"])
    np.savez(stores / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, classes=names)
    assert run("info", str(stores / "x.npz")) == run("show", str(stores / "x.npz"), "--class", "dog") == 0
    assert "cat" in capsys.readouterr().out


def test_show_of_many_classes_with_long_names_stays_a_picture(stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.arange(300)
    images, names = np.zeros((300, 16, 16), np.uint8), np.array([f"a class with the long name {i}" for i in labels])
    np.savez(stores / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, classes=names)
    assert run("show", str(stores / "x.npz"), "--output", str(stores / "x.png")) == 0
    with Image.open(stores / "x.png") as picture:
        assert picture.width < 5_000
    assert "40 images by class" in capsys.readouterr().err
