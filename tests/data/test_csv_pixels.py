"""Tables of pixels: what they may look like, and what a bad cell is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layouts import Writer, make_pictures

from toolkit.data import load_dataset
from toolkit.data.formats import csv_pixels
from toolkit.errors import DataError

Lines = list[str]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    folder = Writer(make_pictures(60, classes=3), seed=0).csv(tmp_path / "made")
    return (folder / "mnist_train.csv").read_text().splitlines()


def write(path: Path, lines: Lines) -> Path:
    path.write_text("\n".join([*lines, ""]))
    return path


def move_label_last(lines: Lines) -> Lines:
    return [",".join([*line.split(",")[1:], line.split(",")[0]]) for line in lines]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines, lambda lines: lines[1:], move_label_last,
        lambda lines: [line.replace("label", " Digit ") for line in lines],
        lambda lines: [line.replace(",", ";") for line in lines],
        lambda lines: [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines],
        lambda lines: [line.replace(",", ".0,") if number else line for number, line in enumerate(lines)],
        lambda lines: [f"{number - 1 if number else ''},{line}" for number, line in enumerate(lines)],
        lambda lines: [lines[0], "", *lines[:0:-1], ""], lambda lines: ["\ufeff" + lines[0], *lines[1:]],
    ],
    ids=["plain", "no header", "label last", "label's name", "semicolons", "quotes", "7.0", "row numbers", "blank lines",
         "byte order mark"],
)  # fmt: skip
def test_a_table_may_be_written_in_many_ways(tmp_path: Path, lines: Lines, change: Callable[[Lines], Lines]) -> None:
    expected = load_dataset(str(write(tmp_path / "plain.csv", lines))).sha256
    assert load_dataset(str(write(tmp_path / "own.csv", change(lines)))).sha256 == expected


def test_pieces_and_packing_do_not_show(tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_dataset(str(write(tmp_path / "own.csv", lines))).sha256
    monkeypatch.setattr(csv_pixels, "PIECE_BYTES", 2000)
    assert load_dataset(str(tmp_path / "own.csv")).sha256 == expected
    (tmp_path / "own.csv.gz").write_bytes(gzip.compress((tmp_path / "own.csv").read_bytes()))
    dataset = load_dataset(str(tmp_path / "own.csv.gz"))
    assert (dataset.name, dataset.sha256) == ("own", expected)


def test_labels_in_words_are_the_classes(tmp_path: Path, lines: Lines) -> None:
    named = [lines[0], *(["cat", "dog", "cow"][int(line[0])] + line[1:] for line in lines[1:])]
    assert load_dataset(str(write(tmp_path / "own.csv", named))).classes == ("cat", "cow", "dog")
    assert load_dataset(str(write(tmp_path / "own.csv", named[1:]))).classes == ("cat", "cow", "dog")


def test_labels_from_1_make_no_class_0_and_sort_as_numbers(tmp_path: Path) -> None:
    pictures = [each._replace(label=each.label + 1) for each in make_pictures(240, classes=12)]
    notes: list[str] = []
    dataset = load_dataset(str(Writer(pictures, seed=0).csv(tmp_path / "own")), on_note=notes.append)
    assert dataset.classes == tuple(map(str, range(1, 13)))
    assert notes == ["own: labels begin at 1, so the classes are 1 to 12: there is no class 0"]
    assert dataset.sha256 == load_dataset(str(Writer(pictures, seed=1).folders(tmp_path / "folders"))).sha256


def test_a_test_table_without_labels_is_said(tmp_path: Path, lines: Lines) -> None:
    (tmp_path / "kaggle").mkdir()
    write(tmp_path / "kaggle" / "train.csv", lines)
    write(tmp_path / "kaggle" / "test.csv", [line.partition(",")[2] for line in lines])
    write(tmp_path / "kaggle" / "sample_submission.csv", ["ImageId,Label", "1,0"])
    notes: list[str] = []
    dataset = load_dataset(str(tmp_path / "kaggle"), on_note=notes.append)
    assert dataset.sha256 == load_dataset(str(tmp_path / "kaggle" / "train.csv")).sha256
    assert "test.csv has no column of labels" in notes[0]
    assert "toolkit predict" in notes[0]


def spoil(place: int, cell: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        cells = lines[4].split(",")
        cells[place] = cell
        return [*lines[:4], ",".join(cells), *lines[5:]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(3, "x"), r"row 4 below the header, column 4 \(pixel2\) holds 'x'; expected a whole number from 0 to 255"),
        (spoil(3, "256"), r"row 4 below the header, column 4 \(pixel2\) holds 256; expected"),
        (spoil(3, "-1"), r"holds -1; expected"), (spoil(3, "1.5"), r"column 4 \(pixel2\) holds 1.5; expected"),
        (spoil(3, "nan"), "holds nan; expected"), (spoil(3, "99999999999"), "holds 1e"), (spoil(3, ""), "holds ''"),
        (spoil(0, ""), r"row 4 below the header, column 1 \(label\) is empty; expected a label"),
        (lambda lines: [*lines[:4], lines[4] + ",1", *lines[5:]], "row 4 has 258 cells; expected 257 as above it"),
        (lambda lines: [lines[0]], "a header and no rows"), (lambda lines: [], "is empty"),
        (lambda lines: [line.partition(",")[2] for line in lines], "has no column of labels"),
        (lambda lines: [line.rpartition(",")[0] for line in lines], "255 columns besides its labels"),
        (lambda lines: ["a,b,c", "1,2,x"], "is no table of pixels: it has 3 columns and none of them called label"),
        (lambda lines: [lines[0], *(line[0] + ",0.5" * 256 for line in lines[1:])], "lie between 0 and 1"),
        (lambda lines: ["x" * (1 << 21)], "a line has 1048576 characters or more"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [2000, 8 << 20])
def test_a_bad_table_is_told_by_row_and_column(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, change: Callable[[Lines], Lines], message: str,
    piece: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(csv_pixels, "PIECE_BYTES", piece)
    with pytest.raises(DataError, match=rf"own\.csv.*{message}"):
        load_dataset(
            str(write(tmp_path / "own.csv", change(lines)) if change(lines) else write(tmp_path / "own.csv", []))
        )


def test_a_test_label_that_was_never_trained_is_named(tmp_path: Path) -> None:
    pictures = make_pictures(60, classes=3)
    words = [each._replace(label=each.label) for each in pictures]
    folder = Writer(words, seed=0).csv(tmp_path / "own")
    test = (folder / "mnist_test.csv").read_text().splitlines()
    write(folder / "mnist_test.csv", [test[0], "bird" + test[1][1:]])
    train = (folder / "mnist_train.csv").read_text().splitlines()
    write(folder / "mnist_train.csv", [train[0], *("c" + line for line in train[1:])])
    with pytest.raises(DataError, match="no training image is of bird; the classes are c0, c1, c2"):
        load_dataset(str(folder))


def test_tables_of_two_sizes_are_refused(tmp_path: Path) -> None:
    folder = Writer(make_pictures(60, classes=3), seed=0).csv(tmp_path / "own")
    small = Writer(make_pictures(60, classes=3, side=18), seed=0).csv(tmp_path / "small")
    (small / "mnist_test.csv").replace(folder / "mnist_test.csv")
    with pytest.raises(DataError, match=r"train images are \[16, 16\], test images are \[18, 18\]; expected the same"):
        load_dataset(str(folder))


def test_pixels_keep_their_places(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8)
    rows = [f"{label},{','.join(map(str, np.roll(values, label)))}" for label in (0, 1) for _ in range(2)]
    dataset = load_dataset(str(write(tmp_path / "own.csv", rows)))
    assert {image.tobytes() for image in dataset.train.images} == {np.roll(values, label).tobytes() for label in (0, 1)}
