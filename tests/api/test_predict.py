"""`toolkit.predict`: pictures, folders, arrays; in memory and into a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import encode

import toolkit
from toolkit.data.load import load_mini
from toolkit.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("probed_once")
IMAGES = load_mini().test.images[:4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "digits").mkdir()
    for number, image in enumerate(IMAGES):
        (tmp_path / "digits" / f"{number}.png").write_bytes(encode(image))
    return tmp_path / "digits"


def test_a_folder_an_array_and_a_classifier_agree(folder: Path, model_path: Path, tmp_path: Path) -> None:
    of_folder, of_array = toolkit.predict(model_path, folder), toolkit.predict(model_path, IMAGES)
    with toolkit.Classifier(model_path) as classifier:
        labels = classifier.predict(IMAGES).labels
    assert of_folder.labels == of_array.labels == labels
    assert [answer.source for answer in of_folder] == [str(folder / f"{number}.png") for number in range(4)]
    assert [answer.index for answer in of_array] == [0, 1, 2, 3]
    assert of_folder[1:2].labels == labels[1:2]
    assert list(tmp_path.iterdir()) == [folder]  # nothing is written


def test_a_picture_that_cannot_be_used_is_an_error_or_a_row_without_an_answer(folder: Path, model_path: Path) -> None:
    (folder / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 4 images has no prediction; the first: .*1\.png"):
        toolkit.predict(model_path, folder)
    answers = toolkit.predict(model_path, [folder], on_error="keep")
    assert [bool(answer.label) for answer in answers] == [True, False, True, True]
    assert answers.num_errors == 1


def test_with_an_output_rows_go_there_and_a_report_is_returned(folder: Path, model_path: Path, tmp_path: Path) -> None:
    report = toolkit.predict(model_path, folder, output=tmp_path / "rows.csv")
    stream = io.BytesIO()
    toolkit.predict(model_path, folder, output=stream)
    assert stream.getvalue() == (tmp_path / "rows.csv").read_bytes()
    rows = list(csv.DictReader(stream.getvalue().decode().splitlines()))
    assert [row["label"] for row in rows] == [row.label for row in report.preview]
    assert (report.num_ok, report.num_errors) == (4, 0)
    with pytest.raises(UsageError, match=r"rows\.csv exists; give another name or force="):
        toolkit.predict(model_path, folder, output=tmp_path / "rows.csv")
    with pytest.raises(UsageError, match="output is for images that lie in files"):
        toolkit.predict(model_path, IMAGES, output=stream)  # type: ignore[call-overload]  # that it is refused


def test_nothing_to_predict_and_no_model_are_refused(folder: Path, model_path: Path) -> None:
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty"):
        toolkit.predict(model_path, empty)
    with pytest.raises(UsageError, match="nothing to predict"):
        toolkit.predict(model_path, [])
    with pytest.raises(UsageError, match=r"no model nowhere\.onnx"):
        toolkit.predict("nowhere.onnx", np.zeros((28, 28), np.uint8))
    with pytest.raises(UsageError, match=r"batch='many' is neither a whole number nor auto"):
        toolkit.predict(model_path, folder, batch="many")
