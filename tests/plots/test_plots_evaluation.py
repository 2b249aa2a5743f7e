"""The pictures of an evaluation: what is coloured, how many are shown, that they are PNG of a sane size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toolkit.evaluation.evaluate import Answer
from toolkit.plots import evaluation
from toolkit.plots.canvas import as_drawable
from toolkit.plots.evaluation import draw_confusion, draw_first, draw_mistakes


def pixels_of(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def red_pixels(picture: bytes) -> int:
    pixels = pixels_of(picture)
    return int((pixels[..., 0] - pixels[..., 2] > 40).sum())


def answers_of(count: int, *, label: str = "2", predicted: str = "7") -> list[Answer]:
    return [Answer(index=index, label=label, predicted=predicted, probability=0.5) for index in range(count)]


def test_only_errors_are_red_in_the_confusion_matrix() -> None:
    right = [[900, 0, 0], [0, 900, 0], [0, 0, 900]]
    one_error = [[900, 0, 0], [1, 899, 0], [0, 0, 900]]
    two_errors = [[900, 0, 0], [1, 899, 0], [0, 50, 850]]
    counts = [
        red_pixels(draw_confusion(matrix, ("0", "1", "2"), title="t")) for matrix in (right, one_error, two_errors)
    ]
    assert counts[0] == 0
    assert counts[1] > 1000
    assert counts[2] > 1.5 * counts[1]


@pytest.mark.parametrize("classes", [2, 10])
def test_the_confusion_matrix_grows_with_the_classes(classes: int) -> None:
    names = [f"a rather long class name {number}" for number in range(classes)]
    picture = pixels_of(draw_confusion(np.eye(classes, dtype=int).tolist(), names, title="$\\nosuchcommand$"))
    assert 22 * classes <= picture.shape[0] < 2600
    assert picture.shape[1] >= 450


def test_of_many_classes_those_with_the_most_errors_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Sequence[str]] = []
    name_axes = evaluation._name_axes
    monkeypatch.setattr(evaluation, "_name_axes", lambda axes, names: (shown.append(names), name_axes(axes, names)))
    confusion = np.eye(1000, dtype=int)
    confusion[7, 300], confusion[998, 7] = 5, 1
    short = {7: "7", 300: "300", 998: "998"}  # as they are shown
    names = [short.get(number, f"a rather long class name {number}") for number in range(1000)]
    picture = pixels_of(draw_confusion(confusion.tolist(), names, title="t"))
    assert 22 * 100 <= picture.shape[0] < 2600
    assert 450 <= picture.shape[1] < 2600
    assert len(shown[0]) == 100
    assert set(short.values()) <= set(shown[0])


def test_names_that_the_font_lacks_are_told_apart() -> None:
    # Warnings are errors here: matplotlib's of a missing glyph, and its failure on half a surrogate pair.
    first, second = (draw_confusion([[1, 0], [1, 1]], ("a", name), title=name) for name in ("日本", "中国"))
    assert first != second
    assert as_drawable("a é\n日\udcff$") == "a é\n\\u65e5\\udcff$"
    assert draw_mistakes(np.zeros((1, 16, 16), np.uint8), answers_of(1, label="日本", predicted="\udcff"), count=9)


def captured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def grid(images: np.ndarray, captions: Sequence[str], **options: Any) -> bytes:
        seen.update(images=images, captions=list(captions), **options)
        return b""

    monkeypatch.setattr(evaluation, "image_grid", grid)
    return seen


@pytest.mark.parametrize(
    ("mistakes", "shown", "words"),
    [(60, 50, "the worst 50 of 60 mistakes in 1,000"), (3, 3, "all 3 mistakes in"), (1, 1, "the only mistake in")],
)
def test_the_gallery_says_how_many_it_shows(
    mistakes: int, shown: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = captured(monkeypatch)
    images = np.arange(100, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    draw_mistakes(images, answers_of(mistakes)[::-1], count=1000)
    assert seen["captions"] == ["7 (was 2)\n50.0 %"] * shown
    assert words in seen["title"]
    assert "predicted (was true)" in seen["title"]
    assert seen["images"][:, 0, 0].tolist() == list(range(mistakes))[::-1][:shown]


def test_the_first_images_say_what_a_wrong_one_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = captured(monkeypatch)
    right, wrong = answers_of(1, predicted="2"), answers_of(1)
    draw_first(np.zeros((2, 4, 4), np.uint8), [*right, *wrong])
    assert seen["captions"] == ["2\n50.0 %", "7 (was 2)\n50.0 %"]


def test_long_class_names_get_wider_cells_in_the_same_width() -> None:
    images = np.zeros((10, 32, 32, 3), np.uint8)
    long = draw_mistakes(images, answers_of(10, label="automobile", predicted="aeroplane"), count=10)
    assert pixels_of(long).shape[1] == pixels_of(draw_mistakes(images, answers_of(10), count=10)).shape[1] == 800
